"""Which noise for an epsilon, and which epsilon for a noise, without running anything.

The answers are the accountant's own (see `fedrec.privacy.accounting.prices`): a run with these settings claims the
same.
"""

import math
from dataclasses import dataclass
from typing import Any

from fedrec.core.errors import PrivacyError
from fedrec.experiment.privacy import Adjacency
from fedrec.privacy.accounting.allocation import bins_of
from fedrec.privacy.accounting.prices import Draw, Release, calibrate, epsilon
from fedrec.privacy.accounting.tuning import LAWS, epsilon_of_best


@dataclass(frozen=True)
class Exposure:
    """How often a unit's data would be released, and at which delta.

    Args:
        sampling_rate: Chance that the unit is in a round or step, by a secret draw, in (0, 1]; 1 claims none.
        rounds: Rounds that the unit takes part in, or might, at least 1.
        delta: Chance of failure, in (0, 1).
        steps: Releases in each of these rounds, at least 1.
        units: How many units there are; None if nobody says.
        adjacency: What a neighbour has of the unit.
        draw: How the unit is drawn.
    """

    sampling_rate: float
    rounds: int
    delta: float
    steps: int = 1
    units: int | None = None
    adjacency: Adjacency = "zero-out"
    draw: Draw = "poisson"

    @property
    def count(self) -> int:
        """Releases of the unit's data in all; with balls in bins the epochs, one begun counting whole."""
        together = bins_of(self.sampling_rate) if self.draw == "balls-in-bins" else 1
        return -(-self.rounds * self.steps // together)

    @property
    def used(self) -> float:
        """Chance that the unit's data is used at all."""
        if self.sampling_rate == 1 or self.draw == "balls-in-bins":
            return 1.0
        return -math.expm1(self.count * math.log1p(-self.sampling_rate))

    def release(self, noise_multiplier: float) -> Release:
        """Return what is released of the unit's data.

        Raises:
            PrivacyError: If no price is known for it.
        """
        rate, adjacency = self.sampling_rate, self.adjacency
        return Release(noise_multiplier, rate, self.count, adjacency=adjacency, draw=self.draw)


@dataclass(frozen=True)
class Calibration:
    """A noise multiplier and what it claims: `epsilon` by PLD, `epsilon_rdp` beside it as a check."""

    noise_multiplier: float
    epsilon: float
    epsilon_rdp: float


def epsilon_of(exposure: Exposure, noise_multiplier: float) -> Calibration:
    """Return what a noise multiplier claims, inf without noise.

    Raises:
        PrivacyError: If delta is too small for the accountant, which cuts tails near 1e-13.
    """
    price = epsilon([exposure.release(noise_multiplier)], exposure.delta)
    if math.isinf(price.pld) and noise_multiplier:
        message = f"delta {exposure.delta:g} is smaller than the accountant can see; choose one of at least 1e-12"
        raise PrivacyError(message)
    return Calibration(noise_multiplier, price.pld, price.rdp)


def noise_for(exposure: Exposure, target: float) -> Calibration:
    """Return the noise multiplier whose claim is at most `target` and within 0.1 % of it.

    Raises:
        PrivacyError: If any noise would do, or none is found, or no price is known.
    """
    asked = exposure.release(1.0)
    if exposure.used <= exposure.delta:
        message = (
            f"a unit is used with a chance of {exposure.used:.3g}, at most delta {exposure.delta:g}: any noise, even "
            "none, would meet every epsilon, yet whoever is used is not protected; choose a smaller delta"
        )
        raise PrivacyError(message)
    try:
        drawn, count = asked.sampling_rate, asked.count
        found = calibrate(target, exposure.delta, drawn, count, adjacency=asked.adjacency, draw=asked.draw)
    except PrivacyError as error:
        message = (
            f"no noise is found that claims epsilon {target:g} at delta {exposure.delta:g} over {exposure.count:,} "
            f"releases with sampling rate {exposure.sampling_rate:g}; choose another epsilon (0.01 to 50 is safe) and "
            "a delta of at least 1e-12, or try a noise multiplier and read its epsilon"
        )
        raise PrivacyError(message) from error
    return epsilon_of(exposure, found)


def best_of(exposure: Exposure, noise_multiplier: float, mean: float) -> dict[str, Any]:
    """Return what choosing the best of several runs costs, `mean` of them on average.

    Returns:
        `trials_fixed`, the next whole number, and what so many cost composed (`epsilon_composed`); and by law of a
        number that is drawn the epsilon of the best alone (`epsilon_of_best`).
    """
    trial = Release(noise_multiplier, exposure.sampling_rate, exposure.count, adjacency=exposure.adjacency)
    return {
        "trials_fixed": (fixed := math.ceil(mean)),
        "epsilon_composed": epsilon([trial] * fixed, exposure.delta).pld,
        "epsilon_of_best": {law: epsilon_of_best([[trial]], mean, law, exposure.delta) for law in LAWS},
    }
