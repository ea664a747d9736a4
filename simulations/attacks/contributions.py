"""What can be seen without guessing: noise that is not as claimed, and contributions longer than the clip norm.

The bound from guesses needs many canaries and a large fault. These looks need neither, but a simulator's eyes: they run
the production code again without its noise, or its noise without clients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedrec.attacks.audit.canaries import Canaries
from fedrec.attacks.audit.noise import Draw, NoiseCheck, noise_check
from fedrec.attacks.audit.replay import client_noise, longest_share, shared_clip
from fedrec.attacks.audit.verdict import ROUNDING, Reach
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.job import Job
from fedrec.training.context import TrainingContext
from simulations.attacks.observers import FinalModelObserver, SumObserver, UpdateObserver
from simulations.attacks.sums import counts_noise, parts, server_noise, shares_of_noise

AuditObserver = FinalModelObserver | UpdateObserver | SumObserver

CHECKED_CLIENTS = 4
"""Clients whose own noise is checked under local trust."""

PAID_BIT = 0.5
"""By how much one user may move the sum of bits (Andrew et al. 2021, section 2.2)."""

MOST_USERS = 64
"""Canaries that a made-up client of many users holds, at most."""

ENOUGH = 40_000
"""Numbers of noise that are looked at: .97 of the claimed deviation then has a chance below 1e-15."""

MOST_DRAWS = 1000
"""Draws of a server's noise apart, at most."""

MOST_ROUNDS = 12
"""Rounds of a client's noise, at most: each trains it twice."""


@dataclass(frozen=True, eq=False)
class Audited:
    """A run with canaries, when it is over.

    Attributes:
        job: Of the run.
        canaries: Who was planted.
        clear: The context on which nobody adds noise (see `fedrec.attacks.audit.replay.clear`).
        last: Its last checkpoint.
    """

    job: Job
    canaries: Canaries
    clear: TrainingContext
    last: Checkpoint


@dataclass(frozen=True, eq=False)
class Seen:
    """What looks found.

    Attributes:
        draws: Noise of updates, by parameter, in claimed deviations.
        others: Noise of whatever else is released.
        reach: Measured contributions; None where none was measured.
        faults: In sentences.
        unseen: What this way of looking cannot see, in phrases.
    """

    draws: Sequence[Draw] = ()
    others: Draw = field(default_factory=dict)
    reach: Reach | None = None
    faults: Sequence[str] = ()
    unseen: Sequence[str] = ()

    def noise(self, false_alarm: float) -> NoiseCheck | None:
        """Return the test of all noise; None where none was seen."""
        return noise_check(self.draws, self.others, false_alarm) if self.draws or self.others else None


def look(audited: Audited, observer: AuditObserver) -> Seen:
    """Return what is seen beside the guesses; without privacy, nothing."""
    plan = audited.job.plan
    if plan.trust == "none":
        return Seen()
    if isinstance(observer, FinalModelObserver):
        return Seen(unseen=["the noise", "what single users add"])
    seen = _at_sums(audited, observer) if isinstance(observer, SumObserver) else _at_clients(audited)
    secret = ["by anything but guesses, whether secret coins are fair"] if plan.sampling_rate < 1 else []
    counts = {} if plan.counts is None else counts_noise(audited.job, audited.last.released["item_counts"].numpy())
    return replace(seen, others={**seen.others, **counts}, unseen=[*seen.unseen, *secret])


def _at_clients(audited: Audited) -> Seen:
    """Look at the noise of a few clients, at each canary's clipped gradient, and at clients of many users."""
    job, canaries = audited.job, audited.canaries
    clients = np.unique(canaries.holders)[:CHECKED_CLIENTS].tolist()
    numbers = sum(value.numel() for value in job.training_context.start.values()) * len(clients)
    rounds = max(2, min(MOST_ROUNDS, math.ceil(ENOUGH / numbers)))
    faults = []
    if canaries.hosts is not None and job.experiment.training.example != "prefix":
        apart = shared_clip(audited.clear, canaries.clients[:MOST_USERS])
        if apart > ROUNDING * MOST_USERS:
            faults.append(
                f"a client's sum is {apart:.3g} clip norms away from that of its users' gradients, clipped one by one: "
                "some users are clipped together"
            )
    return Seen(
        draws=client_noise(job.training_context, clients, rounds),
        reach=Reach(longest_share(audited.clear, canaries.clients), len(canaries)),
        faults=faults,
    )


def _at_sums(audited: Audited, observer: SumObserver) -> Seen:
    """Look at the noise of each round's sum and of further ones of nobody, and at each canary's clipped change."""
    job, plan = audited.job, audited.job.plan
    shape = {name: value.numpy() for name, value in job.training_context.shared_start.items()}
    draws: list[Draw] = [parts(noise, shape) for noise in observer.noise(job.expected_cohort)]
    reach = Reach(max(observer.reached, default=0.0), len(observer.reached))
    numbers = sum(value.size for value in shape.values())
    more = min(MOST_DRAWS, max(2, math.ceil(ENOUGH / numbers) - len(draws)))
    first = job.experiment.rounds + 1
    if (agreement := plan.agreement) is not None:
        shares, masks = shares_of_noise(job, agreement, shape, more), "the masks: the sum is the same without"
        if agreement.noise == "gaussian":
            return Seen([*draws, *shares], reach=reach, unseen=[masks])
        # Rounding to a coarse grid adds to what is observed, by an amount that depends on data.
        return Seen(shares, reach=reach, unseen=[masks, "the noise of whole sums, only each client's share"])
    further, bits = server_noise(observer.strategy.context, shape, range(first, first + more))
    faults = []
    if plan.clipping is not None and (moved := max(observer.bits, default=0.0)) > PAID_BIT:
        faults.append(f"one user moves the sum of clipping bits by {moved:g}, and {PAID_BIT:g} is paid for")
    if plan.filtered and (spent := max(observer.spent.values(), default=0.0)) > plan.rounds * (1 + ROUNDING):
        faults.append(
            f"one user spends {spent:.3g} rounds at the clip norm, and {plan.rounds} are paid for: it passes its filter"
        )
    return Seen([*draws, *further], bits, reach, faults)
