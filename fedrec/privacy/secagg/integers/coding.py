"""From a client's change to the integers that it gives to a sum, and from their sum back: one way by law of noise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.privacy.accounting.prices import Mechanism
from fedrec.privacy.secagg.integers.lattice import MOST_BITS, Lattice
from fedrec.privacy.secagg.integers.quantisation import Grid, Integers, Reals, check_finite, decode, finest
from fedrec.privacy.secagg.integers.rotation import Rotation, width_for
from fedrec.privacy.secagg.terms import Vector


@dataclass(frozen=True)
class Sizes:
    """What a grid must have room for.

    Args:
        bits: Sums are taken modulo 2^bits.
        cohort: Most clients in one sum.
        clip_norm: L2 bound of one client's vector, rounding included, noise not.
        deviation: Standard deviation of one client's noise.
        length: Numbers of a change.
    """

    bits: int
    cohort: int
    clip_norm: float
    deviation: float
    length: int


class Code(Protocol):
    """How changes of one round become integers."""

    @property
    def width(self) -> int:
        """Integers that a client gives."""

    @property
    def step(self) -> float:
        """What one is worth."""

    def check(self) -> None:
        """Refuse a grid that is too coarse.

        Raises:
            ConfigError: Saying what would do.
        """

    def integers(self, change: Reals, rng: np.random.Generator) -> Integers:
        """Return a client's change, clipped and rounded, with its share of the noise, `[width]`.

        Raises:
            SecureAggregationError: If a number is not finite.
        """

    def clipped(self, change: Reals) -> Reals:
        """Return a change as it is before it is rounded, short enough to stay within the norm when it is."""

    def noise(self, rng: np.random.Generator) -> Integers:
        """Return one client's share of the noise alone, `[width]`."""

    def reals(self, total: Vector) -> Reals:
        """Return what a sum of such integers modulo 2^bits means, `[length]`."""


@dataclass(frozen=True)
class Fine:
    """Gaussian noise, rounded to a grid that is fine against it (see `noise`); a sum never wraps around."""

    sizes: Sizes

    @property
    def width(self) -> int:
        """The change's own length."""
        return self.sizes.length

    @property
    def step(self) -> float:
        """A power of two."""
        return self.grid.step

    @cached_property
    def grid(self) -> Grid:
        """The finest grid with room for the cohort."""
        sizes = self.sizes
        step = finest(sizes.bits, sizes.cohort, sizes.clip_norm, sizes.deviation)
        return Grid(sizes.bits, sizes.cohort, step, sizes.clip_norm, sizes.deviation)

    def check(self) -> None:
        """Refuse a grid that leaves nothing of the norm to so many numbers."""
        self.grid.clipped(np.zeros(self.width))

    def integers(self, change: Reals, rng: np.random.Generator) -> Integers:
        """Return a client's change with its share of the noise."""
        return self.grid.integers(change, rng) + self.noise(rng)

    def clipped(self, change: Reals) -> Reals:
        """Return a change before it is rounded."""
        return self.grid.clipped(change)

    def noise(self, rng: np.random.Generator) -> Integers:
        """Return one client's share of the noise."""
        return self.grid.noise(self.width, rng)

    def reals(self, total: Vector) -> Reals:
        """Return what a sum means."""
        return self.grid.decode(total)


@dataclass(frozen=True)
class Coarse:
    """A public rotation, a grid that is coarse against the change, and Skellam noise (see `lattice`)."""

    sizes: Sizes
    rotation: Rotation

    @property
    def width(self) -> int:
        """The change's length, padded to a power of two."""
        return self.rotation.width

    @property
    def step(self) -> float:
        """Smaller for longer changes."""
        return self.lattice.step

    @cached_property
    def lattice(self) -> Lattice:
        """The finest grid with room for nearly all sums of the cohort."""
        sizes = self.sizes
        return Lattice(sizes.bits, sizes.cohort, self.width, sizes.clip_norm, sizes.deviation)

    def check(self) -> None:
        """Refuse a grid that is too coarse; nothing is too coarse for no numbers."""
        if self.sizes.length:
            _ = self.lattice

    def integers(self, change: Reals, rng: np.random.Generator) -> Integers:
        """Return a client's change, rotated, with its share of the noise."""
        check_finite(change)
        return self.lattice.integers(self.rotation.turn(change), rng) + self.noise(rng)

    def clipped(self, change: Reals) -> Reals:
        """Return a change before it is rounded; the rotation keeps its length."""
        return self.rotation.back(self.lattice.clipped(self.rotation.turn(change)) * self.lattice.step)

    def noise(self, rng: np.random.Generator) -> Integers:
        """Return one client's share of the noise."""
        return self.lattice.noise(rng)

    def reals(self, total: Vector) -> Reals:
        """Return what a sum means, rotated back."""
        return self.rotation.back(np.asarray(decode(total, self.sizes.bits), dtype=np.float64) * self.lattice.step)


def _fine(sizes: Sizes, seed: int, round: int) -> Code:  # noqa: ARG001 - nothing is drawn
    return Fine(sizes)


def _coarse(sizes: Sizes, seed: int, round: int) -> Code:
    if sizes.bits > MOST_BITS:
        message = (
            f"Skellam noise is drawn on sums of up to {MOST_BITS} bits, got {sizes.bits}; set "
            "privacy.secure_aggregation.bits=16, or noise=gaussian"
        )
        raise ConfigError(message)
    return Coarse(sizes, Rotation(seed, round, sizes.length, width_for(sizes.length)))


CODES: Mapping[Mechanism, Callable[[Sizes, int, int], Code]] = {"gaussian": _fine, "skellam": _coarse}
"""By law of the noise: made from the sizes, a public seed and the round."""
