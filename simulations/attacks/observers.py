"""What the adversary of an audit sees while a run goes on, and how much each canary looks as if it were in.

Observers sit where clients' work is called for, so the run itself is the production code: strategy, grid, ledger and
all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from clients.cohort import CohortRequest
from fedrec.attacks.audit.answers import uncharged
from fedrec.attacks.audit.canaries import Canaries
from fedrec.privacy.plan import PrivacyPlan
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate, joined, nobody, only_row
from fedrec.training.vectorized import train_cohort
from server.aggregation.privacy import NoisyMean
from server.aggregation.update import Arrays
from server.aggregation.update_sum import SumAggregator
from server.base import MeanStrategy
from simulations.attacks.sums import claimed, flat, furthest, noiseless, parts, uncorrelated
from simulations.engine.work import Parameters, Train

Vector = NDArray[np.float64]

CLAIMED_EXAMPLES = 1000.0
"""Weight that a canary claims where sums are observed: it must not count."""

MOST_MEASURED = 100
"""Canaries of a chunk that are measured: each adds the chunk up again."""

CHECKED_ROUNDS = 2
"""Rounds in which what each canary adds to a sum is measured."""

MOST_FOLLOWED = 10
"""Canaries whose contributions are measured in every round, where each has a filter: it must hold in all together."""


@dataclass(frozen=True, eq=False)
class Notes:
    """What any observer writes down.

    Attributes:
        plan: What clients may tell.
        asked: Who was asked, by round.
        told: What answers said beside the parameters that nobody paid for.
    """

    plan: PrivacyPlan
    asked: dict[int, list[int]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def take(self, request: CohortRequest, update: CohortUpdate) -> None:
        """Write down a question and its answers."""
        self.asked.setdefault(request.round, []).extend(request.clients)
        self.told.extend(uncharged(update, self.plan))


@dataclass(frozen=True, eq=False)
class FinalModelObserver:
    """An adversary who sees the final model alone; only notes are taken.

    Attributes:
        train: The clients' work.
        notes: What is written down.
    """

    train: Train
    notes: Notes

    def __call__(self, request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        """Return the clients' answers as they are."""
        update = self.train(request, parameters, extras)
        self.notes.take(request, update)
        return update


@dataclass(eq=False)
class UpdateObserver:
    """Under local trust, and without privacy, the server sees every update: a canary is sought in its holder's.

    Attributes:
        train: The clients' work.
        canaries: Who is sought.
        clear: The context on which updates are what they would be without noise and without canaries, and each canary's
            own what it would be, were it in.
        notes: What else was observed.
        sums: `<what was seen, what it would be without noise>` over the rounds so far, `[canaries]`.
    """

    train: Train
    canaries: Canaries
    clear: TrainingContext
    notes: Notes
    sums: Vector = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros(len(self.canaries))

    def __call__(self, request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        """Return the clients' answers as they are; listen."""
        update = self.train(request, parameters, extras)
        self.notes.take(request, update)
        seen = dict(update.each())
        holders = self.canaries.holders
        if held := [client for client in update.clients if client in holders]:
            own = [self.canaries.first + int(row) for row in np.flatnonzero(np.isin(holders, held))]
            # The adversary knows a client's other users, and takes their part of its mean off.
            rest = [client for client in held if client not in self.canaries.clients]
            sent, beside = (
                {name: torch.from_numpy(value.copy()) for name, value in some.items()} for some in (parameters, extras)
            )
            task = CohortTask(
                [*rest, *own], request.round, sent, rule=request.rule, options=request.options, extras=beside
            )
            known = {
                client: only_row(expected.parameters) for client, expected in train_cohort(self.clear, task).each()
            }
            for holder in held:
                planted = np.flatnonzero(holders == holder)
                received = only_row(seen[holder].parameters)
                apart = flat({n: (received[n] - before).numpy() for n, before in sent.items()})
                if holder in rest:
                    users = len(self.clear.federation.users[holder])
                    others = flat({n: (known[holder][n] - before).numpy() for n, before in sent.items()})
                    apart -= others * users / (users + len(planted))
                shares = [
                    flat({n: (known[self.canaries.first + int(row)][n] - sent[n]).numpy() for n in sent})
                    for row in planted
                ]
                self.sums[planted] += _parts_of(apart, np.array(shares))
        return update

    def scores(self, expected_cohort: float) -> Vector:
        """Return how much each canary's own updates look as if it were in, `[canaries]`."""
        del expected_cohort  # it divides sums only
        return self.sums


def _parts_of(change: Vector, shares: Vector) -> Vector:
    """Return how much of each share is in a change, `[shares]`: least squares, each weighted by its squared length.

    So that what all shares have in common does not count for each of them; of one share it is the inner product.

    Args:
        change: `[parameters]`.
        shares: What each would add, `[shares, parameters]`; those that add nothing have 0.
    """
    found: Vector = np.linalg.lstsq(shares.T, change, rcond=None)[0] * np.sum(shares**2, axis=1)
    return found


@dataclass(eq=False)
class SumObserver:
    """Where sums are observed (trust `central` and `secure-aggregation`) the adversary knows all but the canaries.

    A canary is a client that answers with a long step along a direction of its own, now forwards and now backwards (so
    that noise which repeats cancels), and claims many examples; it answers with no change if it is out. Whatever it
    does, the server's mechanism must hold. Noise that is correlated is taken apart first: the adversary knows how.

    Attributes:
        train: The clients' work.
        canaries: Who is sought.
        directions: Of length 1, orthogonal, `[canaries, parameters]`.
        length: Length of a canary's step; well above the clip norm.
        strategy: Knows how a round's changes are clipped and added.
        notes: What else was observed.
        others: What everybody but the canaries adds up to, by round.
        everybody: The same with them.
        observed: Noised means, as they come.
        clips: The rounds' clip norms, as claimed, and the next one's.
        reached: Measured contributions of single canaries, in clip norms.
        bits: The same to the sum of bits by which a clip norm adapts.
        spent: Of each canary that is followed, the sum of its contributions' squares, in squared clip norms.
    """

    train: Train
    canaries: Canaries
    directions: Vector
    length: float
    strategy: MeanStrategy
    notes: Notes
    others: dict[int, Vector] = field(default_factory=dict)
    everybody: dict[int, Vector] = field(default_factory=dict)
    observed: list[Vector] = field(default_factory=list)
    clips: list[float] = field(default_factory=list)
    reached: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    spent: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clips.append(self.strategy.context.plan.clip_norm)

    def __call__(self, request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        """Return the clients' answers, the canaries' as they make them; listen."""
        real = [client for client in request.clients if client not in self.canaries.clients]
        planted = [client for client in request.clients if client in self.canaries.clients]
        update = self.train(replace(request, clients=real), parameters, extras) if real else nobody({})
        self.notes.take(request, update)
        aggregator = self.aggregator
        answers = self._answers(planted, self._steps(planted, request.round), parameters)
        for sums, part in ((self.others, update), (self.everybody, update), (self.everybody, answers)):
            total = aggregator.add_cohort(parameters, part).sums
            now = sums.setdefault(request.round, np.zeros(self.directions.shape[1]))
            sums[request.round] = now + flat(total) if total else now
        everybody = joined([replace(update, private={}, kept={}), answers])
        if request.round <= CHECKED_ROUNDS:
            self._measure(everybody, planted, request.round, parameters)
        if self.strategy.context.plan.filtered:
            self._follow(everybody, planted, parameters)
        return everybody

    @property
    def aggregator(self) -> SumAggregator:
        """How a sum's changes are clipped, whoever adds them."""
        plan = self.strategy.context.plan
        return (
            SumAggregator(clip_norm=plan.clip_norm) if plan.trust == "secure-aggregation" else self.strategy.aggregator
        )

    def observe_steps_(self) -> None:
        """Hear what the strategy makes of each round before it takes its step."""
        step = self.strategy.step

        def observed(update: Arrays) -> Arrays:
            self.observed.append(flat(update))
            mechanism = self.strategy.mechanism
            self.clips.append(mechanism.clip_norm if isinstance(mechanism, NoisyMean) else self.clips[-1])
            return step(update)

        self.strategy.step = observed  # type: ignore[method-assign]

    def scores(self, expected_cohort: float) -> Vector:
        """Return each canary's share in what was observed: sums less the others', along its direction, `[canaries]`."""
        scores, factor = np.zeros(len(self.canaries)), self.strategy.context.plan.factor
        plan = self.strategy.context.plan
        rest = uncorrelated(
            plan, [m * expected_cohort - self.others.get(n, 0.0) for n, m in enumerate(self.observed, 1)]
        )
        for number in range(1, len(rest) + 1):
            # A canary of this round is in what it and the next rounds leave, as often as the factor says.
            traces = [weight * later for weight, later in zip(factor, rest[number - 1 :], strict=False)]
            scores += self._may(number) * self._sign(number) * (self.directions @ np.sum(traces, axis=0))
        return scores

    def noise(self, expected_cohort: float) -> list[Vector]:
        """Return what was observed less what everybody adds up to, in claimed deviations, uncorrelated, by round.

        A secret sum has the noise of all who answered, not only of the fewest that are allowed.
        """
        plan = self.strategy.context.plan
        noise = [mean * expected_cohort - self.everybody.get(n, 0.0) for n, mean in enumerate(self.observed, 1)]
        if (agreement := plan.agreement) is not None:
            sizes = [math.sqrt(len(self.notes.asked[n])) * agreement.share for n in range(1, len(noise) + 1)]
        else:
            sizes = [clip * claimed(plan) for clip in self.clips[: len(noise)]]
        return [value / size for value, size in zip(uncorrelated(plan, noise), sizes, strict=True)]

    def _may(self, number: int) -> NDArray[np.bool_]:
        """Return which canaries may be in a round, `[canaries]`."""
        clients, bands = np.array(self.canaries.clients), self.strategy.context.plan.bands
        return np.asarray(clients % bands == number % bands)

    def _sign(self, number: int) -> int:
        return -1 if (number - 1) // self.strategy.context.plan.bands % 2 else 1

    def _measure(self, observed: CohortUpdate, planted: Sequence[int], number: int, parameters: Parameters) -> None:
        """Measure what single canaries add: as they are, and against a cohort that goes the other way."""
        clip, rows = self.clips[number - 1], [client - self.canaries.first for client in planted]
        inside = [row for row in rows if self.canaries.included[row]]
        if (agreement := self.strategy.context.plan.agreement) is not None:
            code = agreement.code(number, self.directions.shape[1])
            given = [noiseless(code, self.directions[row] * self.length) for row in inside]
            self.reached += [float(np.linalg.norm(summand)) / clip for summand in given]
            return
        first = len(observed.clients) - len(planted)
        places = [first + place for place, row in enumerate(rows) if self.canaries.included[row]]
        probes = [(observed, place) for place in places[:MOST_MEASURED]]
        steps = np.repeat(self.directions[rows[:1]] * clip / 2, len(planted), axis=0)
        for place in {0, len(planted) - 1} if planted else ():
            against = steps.copy()
            against[place] *= -2 * self.length / clip
            probes.append((self._answers(planted, against, parameters), place))
        for answers, place in probes:
            length, bits = furthest(self.aggregator, parameters, answers, place)
            self.reached.append(length / clip)
            self.bits.append(bits)

    def _follow(self, observed: CohortUpdate, planted: Sequence[int], parameters: Parameters) -> None:
        """Measure what the first canaries that are in spend in this round, whatever their filters say."""
        first, clip = len(observed.clients) - len(planted), self.clips[-1]
        for row in np.flatnonzero(self.canaries.included)[:MOST_FOLLOWED].tolist():
            if (client := self.canaries.first + row) in planted:
                length, _ = furthest(self.aggregator, parameters, observed, first + planted.index(client))
                self.spent[row] = self.spent.get(row, 0.0) + (length / clip) ** 2

    def _steps(self, planted: Sequence[int], number: int) -> Vector:
        rows = np.array(planted, dtype=np.int64) - self.canaries.first
        return self.canaries.included[rows, None] * self.directions[rows] * self.length * self._sign(number)

    def _answers(self, planted: Sequence[int], steps: Vector, parameters: Parameters) -> CohortUpdate:
        """Return the canaries' answers: their steps, `[planted, parameters]`."""
        by_name = parts(steps, parameters)
        after = {
            name: torch.from_numpy((before + by_name[name].reshape(len(planted), *before.shape)).astype(before.dtype))
            for name, before in parameters.items()
        }
        count = len(planted)
        return CohortUpdate(list(planted), after if count else {}, {}, [CLAIMED_EXAMPLES] * count, [None] * count)
