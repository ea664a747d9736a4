"""What all rounds of a run's secure aggregation have in common: public, and known before the first."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedrec.config import Experiment
from fedrec.privacy.secagg.noise import noise_share
from fedrec.privacy.secagg.quantisation import Grid, finest
from fedrec.privacy.secagg.terms import Terms, neighbours_for
from fedrec.seeding import seed_for

UNTIED = 1e-6
"""Chance of a round in which a sparse graph fails: too few of some client's neighbours stay, or only colluders tie the
honest ones together."""


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

    def __post_init__(self) -> None:
        Terms(0, self.cohort, self.threshold, 0, self.bits)
        self.check(0)

    def check(self, length: int) -> None:
        """Refuse vectors of a length for which the grid is too coarse.

        Raises:
            ConfigError: Saying what would do.
        """
        self.grid.clipped(np.zeros(length))

    @cached_property
    def grid(self) -> Grid:
        """How changes become integers and a sum of them real again."""
        deviation = noise_share(self.noise_multiplier, self.clip_norm, self.threshold, self.colluding)
        step = finest(self.bits, self.cohort, self.clip_norm, deviation)
        return Grid(self.bits, self.cohort, step, self.clip_norm, deviation)

    @cached_property
    def neighbours(self) -> int | None:
        """How many others each client masks with; None for all.

        Counting colluders as dropped out makes them few enough in every neighbourhood: more than half of a client's
        neighbours then stay and are honest, so at least one on each side of the ring, and no honest client is cut off.
        """
        return neighbours_for(self.cohort, self.threshold - self.colluding, UNTIED)

    def terms(self, round: int, length: int) -> Terms:  # noqa: A002
        """Return the terms of a round whose vectors have this length."""
        return Terms(round, self.cohort, self.threshold, length, self.bits, self.neighbours, self.seed)

    def masked(self, round: int) -> bool:  # noqa: A002
        """Return whether a round, from 1, computes its masks."""
        return round <= self.masked_rounds


def agreement_of(experiment: Experiment, clients: int, noise_multiplier: float) -> Agreement:
    """Return what an experiment's clients agree on.

    Args:
        experiment: Says how.
        clients: How many there are.
        noise_multiplier: As calibrated, or given.

    Raises:
        ConfigError: If its cohorts are too small for it, or the grid is too coarse.
    """
    privacy, chosen = experiment.privacy, experiment.privacy.secure_aggregation
    cohort = experiment.federation.fixed_cohort(clients)
    # What floating point adds to a whole number of clients must not ask for one more.
    staying = math.ceil(cohort * (1 - chosen.dropouts) - 1e-9)
    return Agreement(
        cohort=cohort,
        threshold=max(staying, cohort // 2 + 1),
        colluding=chosen.colluding,
        bits=chosen.bits,
        clip_norm=privacy.clip_norm,
        noise_multiplier=noise_multiplier,
        rounds=experiment.rounds,
        masked_rounds=min(chosen.masked_rounds, experiment.rounds),
        # Hashed, because this seed is public and the experiment's is behind the noise.
        seed=seed_for(experiment.seed, "secure aggregation ring"),
    )
