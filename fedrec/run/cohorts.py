"""Who is in a round: one named draw for each kind of sampling, the same on every engine and after every restart."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.experiment.config import FederationConfig, Sampling
from fedrec.privacy.accounting.banded import rate_in_group


@dataclass(frozen=True)
class Population:
    """Whom cohorts are drawn from, and how.

    Args:
        federation: How cohorts are drawn, and how large they are.
        clients: Number of clients, n.
        bands: With correlated noise clients take turns: only every `bands`-th may be in a round, by its number.
    """

    federation: FederationConfig
    clients: int
    bands: int = 1

    def cohort(self, seed: int, round: int) -> list[int]:
        """Return the clients of a round, ascending; where sizes vary there may be none.

        Args:
            seed: What decides the draw, with the round. Privacy that counts on a secret cohort counts on a secret seed.
            round: Number of the round, from 1.
        """
        drawn: list[int] = DRAWS[self.federation.sampling](self, seed, round).tolist()
        return drawn

    def group(self, round: int) -> IntArray:
        """Return who may be in a round."""
        return np.arange(round % self.bands, self.clients, self.bands)


def _fixed(population: Population, seed: int, round: int) -> IntArray:
    """Draw a uniformly random subset of a fixed size."""
    may = population.group(round)
    size = min(population.federation.fixed_cohort(population.clients), len(may))
    return np.sort(rng_for(seed, "cohort", round).choice(may, size=size, replace=False))


def _coins(population: Population, seed: int, round: int) -> IntArray:
    """Throw each client's own coin."""
    may, rate = population.group(round), rate_in_group(population.federation.participation, population.bands)
    coins = rng_for(seed, "cohort", round).random(population.clients)
    return may[coins[may] < rate]


def _bins(population: Population, seed: int, round: int) -> IntArray:
    """Draw each client's own round of the epoch."""
    epoch, bin_of_round = divmod(round - 1, population.federation.epoch)
    bins = rng_for(seed, "bins", epoch).integers(population.federation.epoch, size=population.clients)
    return np.flatnonzero(bins == bin_of_round)


DRAWS: dict[Sampling, Callable[[Population, int, int], IntArray]] = {
    "fixed": _fixed,
    "without-replacement": _fixed,
    "poisson": _coins,
    "balls-in-bins": _bins,
}
"""By `federation.sampling`. A fixed cohort and one without replacement differ in who may know it."""
