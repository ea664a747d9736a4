"""From real vectors to integers modulo 2^bits and back, with an error known beforehand.

A client's vector is clipped in L2, rounded to multiples of `step`, given integer noise if there is any, and taken
modulo 2^bits. The sum of a whole cohort fits in the bits, so it never wraps and is exact: all that is lost is what each
client's rounding lost.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.privacy.secagg.errors import SecureAggregationError
from fedrec.privacy.secagg.terms import Vector

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

TAIL = 12.0
"""Noise beyond so many deviations (chance 4e-33 a number) may wrap: far below any delta, summed over any run."""

FINEST_NOISE = 4.0
"""Fewest steps in one client's noise deviation: below, integer noise is visibly not Gaussian (see `noise`)."""


@dataclass(frozen=True)
class Grid:
    """Multiples of a step that one client may send, and the room for a cohort of them.

    Args:
        bits: Sums are taken modulo 2^bits, 2 to 64; the decoded sum is a float64, exact up to 2^53 steps.
        cohort: Most clients in one sum.
        step: One unit of the grid; a power of two, so that scaling loses nothing.
        clip_norm: L2 bound of one client's vector, rounding included, noise not.
        deviation: Standard deviation of one client's noise; 0 for none.
        rounding: To the nearest multiple, or up or down at random such that the mean is right.

    Raises:
        ConfigError: If the sum of a cohort could wrap, or the step is no power of two, or too coarse for the noise.
    """

    bits: int
    cohort: int
    step: float
    clip_norm: float
    deviation: float = 0.0
    rounding: Literal["nearest", "stochastic"] = "nearest"

    def __post_init__(self) -> None:
        sizes = (self.step, self.clip_norm, self.deviation)
        message = ""
        if not 2 <= self.bits <= 64 or self.cohort < 1 or not all(map(math.isfinite, sizes)) or min(sizes) < 0:
            message = f"a grid needs 2 to 64 bits, a cohort and finite sizes from 0, got {self}"
        elif math.frexp(self.step)[0] != 0.5:
            message = f"the step must be a power of two, got {self.step}; use 2.0**-20, or `finest`"
        elif self.units * self.cohort >= 2 ** (self.bits - 1):
            message = (
                f"{self.cohort} clients of up to {self.units} steps of {self.step} could wrap modulo 2^{self.bits}; "
                "take more bits, a larger step, a lower clip norm or fewer clients"
            )
        elif 0 < self.deviation < FINEST_NOISE * self.step:
            message = (
                f"noise of deviation {self.deviation} on a grid of {self.step} would not pass for Gaussian; "
                f"it needs {FINEST_NOISE:g} steps: take more bits and a smaller step"
            )
        if message:
            raise ConfigError(message)

    @property
    def units(self) -> int:
        """Most steps in one number of one client, noise and rounding included."""
        return math.ceil((self.clip_norm + TAIL * self.deviation) / self.step) + 1

    @property
    def worst_error(self) -> float:
        """Most that a number of the decoded sum differs from the sum of the clipped vectors and integer noises."""
        return self.cohort * self._rounding_error

    @property
    def _rounding_error(self) -> float:
        return self.step if self.rounding == "stochastic" else self.step / 2

    def clipped(self, vector: Reals) -> Reals:
        """Return the vector, shortened if need be so that rounding cannot carry it beyond `clip_norm`.

        Rounding lengthens a vector of m numbers by at most sqrt(m) rounding errors; so much is left free.

        Raises:
            ConfigError: If that leaves nothing: the step is too coarse for so many numbers.
            SecureAggregationError: If a number is not finite; nobody could see it in a sum.
        """
        check_finite(vector)
        # The norm is known to about 1e-16 for each number that is added up.
        longest = self.clip_norm * (1 - 1e-12) - math.sqrt(vector.size) * self._rounding_error
        if longest <= 0 < vector.size:
            message = (
                f"a step of {self.step} is too coarse for {vector.size} numbers of norm {self.clip_norm}; "
                "take more bits and a smaller step"
            )
            raise ConfigError(message)
        exact = np.asarray(vector, dtype=np.float64)
        norm = float(np.linalg.norm(exact))
        return exact * (longest / norm) if norm > longest else exact

    def integers(self, vector: Reals, rng: np.random.Generator) -> Integers:
        """Return the clipped vector in steps: integers whose norm times `step` is at most `clip_norm`.

        Args:
            vector: Real numbers; may be empty.
            rng: Draws the direction of stochastic rounding; not used otherwise.
        """
        steps = self.clipped(vector) / self.step
        if self.rounding == "stochastic":
            return np.floor(steps + rng.random(steps.shape)).astype(np.int64)
        return np.rint(steps).astype(np.int64)

    def noise(self, length: int, rng: np.random.Generator) -> Integers:
        """Return one client's noise in steps: Gaussian, rounded by itself so that it knows nothing of the data."""
        return np.rint(rng.normal(0.0, self.deviation / self.step, length)).astype(np.int64)

    def encode(self, integers: Integers, dtype: np.dtype[np.unsignedinteger]) -> Vector:
        """Return integers modulo 2^bits (see `Terms.dtype`): negative ones are in the upper half."""
        return encode(integers, self.bits, dtype)

    def decode(self, total: Vector) -> Reals:
        """Return a sum modulo 2^bits as real numbers."""
        return np.asarray(decode(total, self.bits), dtype=np.float64) * self.step


def check_finite(vector: Reals) -> None:
    """Refuse a vector with a number that is not finite.

    Raises:
        SecureAggregationError: If there is one; nobody could see it in a sum.
    """
    if not np.isfinite(vector).all():
        message = "a vector to be summed has numbers that are not finite; leave this client out of the round"
        raise SecureAggregationError(message)


def encode(integers: Integers, bits: int, dtype: np.dtype[np.unsignedinteger]) -> Vector:
    """Return integers modulo 2^bits (see `Terms.dtype`): negative ones are in the upper half."""
    return np.bitwise_and(integers.astype(np.uint64).astype(dtype), dtype.type(2**bits - 1))


def decode(total: Vector, bits: int) -> Integers:
    """Return numbers modulo 2^bits as signed integers."""
    unused = np.int64(64 - bits)
    signed: Integers = (total.astype(np.uint64).view(np.int64) << unused) >> unused
    return signed


def finest(bits: int, cohort: int, clip_norm: float, deviation: float = 0.0) -> float:
    """Return the smallest power of two that is a step with room for a cohort (see `Grid`).

    Raises:
        ConfigError: If there is nothing to send, or not even room for one step of each client.
    """
    room = (2 ** (bits - 1) - 1) // max(cohort, 1) - 1
    bound = clip_norm + TAIL * deviation
    if room < 1 or not 0 < bound < math.inf:
        message = f"no step has room for {cohort} clients with numbers up to {bound} in {bits} bits"
        raise ConfigError(message)
    step = float(2.0 ** math.floor(math.log2(bound / room)))
    while math.ceil(bound / step) > room:
        step *= 2
    return step
