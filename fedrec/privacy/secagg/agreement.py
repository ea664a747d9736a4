"""What all rounds of a run's secure aggregation have in common: public, and known before the first."""

import math
from dataclasses import dataclass
from functools import cached_property

from fedrec.core.seeding import seed_for
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Mechanism
from fedrec.privacy.secagg.integers.coding import CODES, Code, Sizes
from fedrec.privacy.secagg.integers.noise import noise_share
from fedrec.privacy.secagg.terms import Terms, neighbours_for

UNTIED = 0.01
"""Share of delta for a sparse graph that fails in any round: too few of some client's neighbours stay, or only
colluders tie the honest ones together."""


@dataclass(frozen=True)
class Agreement:
    """The terms of every round, and how a client turns its change into integers.

    Args:
        cohort: Clients asked in a round, at least 2.
        threshold: Fewest whose sum is ever opened.
        colluding: Most of them that tell others what they know, fewer than `threshold`.
        bits: Sums are taken modulo 2^bits.
        clip_norm: L2 bound of one client's change, rounding included.
        noise_multiplier: Deviation of the noise in a sum, over `clip_norm`, as it is charged: that of `threshold`
            clients without the colluding ones. More clients bring more.
        rounds: Rounds of the run.
        masked_rounds: The first so many compute their masks, at most `rounds`.
        seed: Public; it decides who is whose neighbour.
        untied: Chance of a round in which a sparse graph may fail, above 0.
        noise: Law of each client's share; it decides the grid, too.

    Raises:
        ConfigError: If there is no such sum, or no such grid.
    """

    cohort: int
    threshold: int
    colluding: int
    bits: int
    clip_norm: float
    noise_multiplier: float
    rounds: int
    masked_rounds: int
    seed: int
    untied: float
    noise: Mechanism = "gaussian"

    def __post_init__(self) -> None:
        Terms(0, self.cohort, self.threshold, 0, self.bits)
        self.check(0)

    def check(self, length: int) -> None:
        """Refuse vectors of a length for which the grid is too coarse.

        Raises:
            ConfigError: Saying what would do.
        """
        self.code(0, length).check()

    @property
    def share(self) -> float:
        """Standard deviation of the noise that each client adds."""
        return noise_share(self.noise_multiplier, self.clip_norm, self.threshold, self.colluding)

    def code(self, round: int, length: int) -> Code:
        """Return how changes of a length become integers, and a sum of them real again.

        Raises:
            ConfigError: If there is no such grid.
        """
        sizes = Sizes(self.bits, self.cohort, self.clip_norm, self.share, length)
        return CODES[self.noise](sizes, self.seed, round)

    @cached_property
    def neighbours(self) -> int | None:
        """How many others each client masks with; None for all.

        Counting colluders as dropped out makes them few enough in every neighbourhood: more than half of a client's
        neighbours then stay and are honest, so at least one on each side of the ring, and no honest client is cut off.
        """
        return neighbours_for(self.cohort, self.threshold - self.colluding, self.untied)

    @property
    def failure(self) -> float:
        """Chance that the graph fails in any round, and with it the whole promise; 0 for the complete graph."""
        return 0.0 if self.neighbours is None else self.untied * self.rounds

    def terms(self, round: int, length: int) -> Terms:
        """Return the terms of a round whose changes have this length; those of vectors may be longer."""
        width = self.code(round, length).width
        return Terms(round, self.cohort, self.threshold, width, self.bits, self.neighbours, self.seed)

    def vector_bytes(self, round: int, length: int) -> int:
        """Return what a client's masked vector takes as packed bits, padding included; keys and shares come on top."""
        terms = self.terms(round, length)
        return -(-terms.length * terms.bits // 8)

    def masked(self, round: int) -> bool:
        """Return whether a round, from 1, computes its masks."""
        return round <= self.masked_rounds


def agreement_of(experiment: Experiment, clients: int, noise_multiplier: float, delta: float) -> Agreement:
    """Return what an experiment's clients agree on.

    Args:
        experiment: Says how.
        clients: How many there are.
        noise_multiplier: As calibrated, or given.
        delta: What the run claims, of which a sparse graph may take `UNTIED`.

    Raises:
        ConfigError: If its cohorts are too small for it, or the grid is too coarse.
    """
    privacy, chosen = experiment.privacy, experiment.privacy.secure_aggregation
    cohort, threshold = _sizes(experiment, clients)
    return Agreement(
        cohort=cohort,
        threshold=threshold,
        colluding=chosen.colluding,
        bits=chosen.bits,
        clip_norm=privacy.clip_norm,
        noise_multiplier=noise_multiplier,
        rounds=experiment.rounds,
        masked_rounds=min(chosen.masked_rounds, experiment.rounds),
        # Hashed, because this seed is public and the experiment's is behind the noise.
        seed=seed_for(experiment.seed, "secure aggregation ring"),
        untied=UNTIED * delta / experiment.rounds,
        noise=chosen.noise,
    )


def graph_failure(experiment: Experiment, clients: int, delta: float) -> float:
    """Return the part of delta that the graph of an experiment's secure sums may take, before any noise is known.

    It is `Agreement.failure`: a union bound over all rounds, whoever is in them. Those of which a simulation computes
    no masks count, too, because they stand for rounds that have them.
    """
    cohort, threshold = _sizes(experiment, clients)
    colluding = experiment.privacy.secure_aggregation.colluding
    complete = neighbours_for(cohort, threshold - colluding, UNTIED * delta / experiment.rounds) is None
    return 0.0 if complete else UNTIED * delta


def _sizes(experiment: Experiment, clients: int) -> tuple[int, int]:
    """Return how many clients are in a cohort, and how many of them must stay."""
    cohort = experiment.federation.fixed_cohort(clients)
    # What floating point adds to a whole number of clients must not ask for one more.
    staying = math.ceil(cohort * (1 - experiment.privacy.secure_aggregation.dropouts) - 1e-9)
    return cohort, max(staying, cohort // 2 + 1)
