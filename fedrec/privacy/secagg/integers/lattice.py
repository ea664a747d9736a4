"""A coarse grid for few bits: rounding at random within a norm, Skellam noise, and sums that may seldom wrap around.

A rotated vector (see `rotation`) is rounded up or down at random, so that its mean is right. Rounding lengthens it, and
privacy needs a bound: a draw that is longer than the bound is drawn again (conditional rounding; Kairouz, Liu and
Steinke 2021, "The distributed discrete Gaussian mechanism", lemma 22). What an integer vector is long is known
exactly, so the bound holds without regard to floats. The rotation is public and keeps lengths.

The step is chosen so that a number of the sum has room for five deviations on each side. Beyond, it wraps around modulo
2^bits: an error, but a function of what the noise protects already, so it costs utility and no privacy.
"""

import math
from dataclasses import dataclass

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.privacy.accounting.skellam import LEAST_RESOLUTION
from fedrec.privacy.secagg.integers.quantisation import Integers, Reals, check_finite

ROOM = 5.0
"""Deviations of a sum's number that fit on each side of 0: others are 1 in 100,000, even if all clients move alike."""

MOST_BITS = 20
"""Variances of up to 2^40 steps are drawn true to their law in float64; with more bits a finer grid gains nothing."""

_TRIES = 64


@dataclass(frozen=True)
class Lattice:
    """The integers of one client, and what they mean.

    Args:
        bits: Sums are taken modulo 2^bits; see `MOST_BITS`.
        cohort: Most clients in one sum.
        width: Numbers in a rotated vector.
        clip_norm: L2 bound of one client's vector, rounding included, noise not.
        deviation: Standard deviation of one client's noise.

    Raises:
        ConfigError: If so few bits have no room for so many clients, numbers and so much noise.
    """

    bits: int
    cohort: int
    width: int
    clip_norm: float
    deviation: float

    def __post_init__(self) -> None:
        if not (self.resolution >= LEAST_RESOLUTION and self.longest > 0):
            message = (
                f"{self.bits} bits leave {self.resolution:.3g} steps in a change's norm, too coarse for {self.cohort} "
                f"clients, {self.width} numbers and noise of {self.deviation / self.clip_norm:.3g} norms each; take "
                "more privacy.secure_aggregation.bits, or train fewer parameters"
            )
            raise ConfigError(message)

    @property
    def resolution(self) -> float:
        """Steps in `clip_norm`.

        In steps r to the norm, a number of the sum of n clients has at most variance n^2 r^2 / width if all move alike,
        n / 4 from rounding and n (r deviation / clip_norm)^2 from noise: `ROOM` times its root is 2^(bits - 1).
        """
        n = self.cohort
        noise = (self.deviation / self.clip_norm) ** 2
        room = (2 ** (self.bits - 1) / ROOM) ** 2 - n / 4
        return math.sqrt(max(room, 0.0) / (n**2 / self.width + n * noise))

    @property
    def step(self) -> float:
        """One unit of the grid."""
        return self.clip_norm / self.resolution

    @property
    def longest(self) -> float:
        """Longest vector before rounding, in steps: s with s^2 + width / 4 + s + sqrt(width) / 2 = resolution^2.

        Rounded, it is within the bound with a chance of at least 1 - exp(-1/2) a draw (the lemma, for that chance).
        """
        room = self.resolution**2 * (1 - 1e-12) - self.width / 4 - math.sqrt(self.width) / 2
        return (math.sqrt(1 + 4 * room) - 1) / 2 if room > 0 else 0.0

    def clipped(self, vector: Reals) -> Reals:
        """Return the vector in steps, no longer than `longest`."""
        steps = vector / self.step
        norm = float(np.linalg.norm(steps))
        return np.asarray(steps * (self.longest / norm) if norm > self.longest else steps)

    def integers(self, vector: Reals, rng: np.random.Generator) -> Integers:
        """Return the vector in steps, clipped and rounded at random: integers of at most `clip_norm`.

        Args:
            vector: Rotated, `[width]`.
            rng: Draws the directions; in the 1 of 10^13 cases in which 64 draws are all too long it is towards 0.

        Raises:
            SecureAggregationError: If a number is not finite; nobody could see it in a sum.
        """
        check_finite(vector)
        steps = self.clipped(vector)
        for _ in range(_TRIES):
            drawn = np.floor(steps + rng.random(steps.shape)).astype(np.int64)
            if int(drawn @ drawn) <= self.resolution**2:
                return drawn
        return np.trunc(steps).astype(np.int64)

    def noise(self, rng: np.random.Generator) -> Integers:
        """Return one client's noise in steps: the difference of two Poisson draws, `[width]`."""
        mean = (self.deviation / self.step) ** 2 / 2
        return rng.poisson(mean, self.width) - rng.poisson(mean, self.width)
