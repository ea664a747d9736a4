"""A random rotation that everybody knows: no number of a rotated vector is much larger than another.

A vector is padded with zeros to a power of two, its signs are flipped by a public draw, and a Walsh-Hadamard transform
mixes it (Suresh et al. 2017; Kairouz, Liu, Steinke 2021, section 4). The rotation keeps lengths, so it changes nothing
about privacy; it spreads a vector of length s over all its d numbers, each about s / sqrt(d), which is what lets sums
of them fit into few bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.core.seeding import rng_for

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """The rotation of one round.

    Args:
        seed: Public; with the round it decides the signs.
        round: Number of the round.
        length: Numbers in a vector before it is rotated; may be 0.
        width: Numbers in it afterwards, a power of two, at least `length`.
    """

    seed: int
    round: int
    length: int
    width: int

    def turn(self, vector: Reals) -> Reals:
        """Return the rotated vector, `[width]`, of the same norm up to rounding of floats."""
        padded = np.zeros(self.width)
        padded[: self.length] = vector
        return hadamard(padded * self._signs())

    def back(self, vector: Reals) -> Reals:
        """Return the vector, `[length]`, whose rotation this is: a Hadamard transform is its own inverse."""
        return np.asarray(hadamard(vector) * self._signs())[: self.length]

    def _signs(self) -> Reals:
        drawn = rng_for(self.seed, "rotation", self.round).integers(0, 2, self.width)
        return np.asarray(2.0 * drawn - 1.0)


def hadamard(vector: Reals) -> Reals:
    """Return the orthonormal Walsh-Hadamard transform of a vector whose length is a power of two."""
    mixed = np.array(vector, dtype=np.float64)
    half = 1
    while half < mixed.size:
        pairs = mixed.reshape(-1, 2, half)
        mixed = np.stack((pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]), axis=1).ravel()
        half *= 2
    return np.asarray(mixed / np.sqrt(mixed.size))


def width_for(length: int) -> int:
    """Return the smallest power of two that is no less than `length`; 1 for 0."""
    return 1 << max(length - 1, 0).bit_length()
