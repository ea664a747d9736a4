"""Privacy losses added up by number, for tests: no accountant's code, only histograms and Fourier transforms.

A pair of distributions P and Q is given by the masses of the same cells under both. The loss of a cell, log(P / Q), is
rounded *down* to a grid, and cells that one of them lacks are left out, so every epsilon here is a lower bound of the
pair's own; it lies at most a grid step a release below it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

FloatArray = NDArray[np.float64]

FINE = 5e-3
"""Grid steps of all releases together, in deviations of the sum of all losses."""
REACH = 10.0
"""Deviations of a normal distribution that are looked at on either side."""


@dataclass(frozen=True)
class Pair:
    """Cells' masses under P (`present`) and Q (`absent`), `[cells]` each, released `count` times."""

    present: FloatArray
    absent: FloatArray
    count: int = 1

    @property
    def reversed(self) -> "Pair":
        """The same with P and Q in each other's place."""
        return Pair(self.absent, self.present, self.count)


def epsilon_of(pairs: Sequence[Pair], delta: float) -> float:
    """Return the larger epsilon of the pairs' composition's two directions at `delta`."""
    return max(_epsilon(pairs, delta), _epsilon([pair.reversed for pair in pairs], delta))


def normals(noise: float, *means: float) -> list[FloatArray]:
    """Return the masses of normal distributions of deviation `noise` on cells that they have in common."""
    width = noise / 500
    middles = np.arange(min(means) - REACH * noise, max(means) + REACH * noise, width)
    return [norm.pdf(middles, mean, noise) * width for mean in means]


def gaussian(noise: float, count: int = 1) -> Pair:
    """Return the Gaussian mechanism's pair."""
    without, with_one = normals(noise, 0.0, 1.0)
    return Pair(with_one, without, count)


def _epsilon(pairs: Sequence[Pair], delta: float) -> float:
    seen = [(pair.present > 1e-300) & (pair.absent > 1e-300) for pair in pairs]
    losses = [np.log(pair.present[here] / pair.absent[here]) for pair, here in zip(pairs, seen, strict=True)]
    masses = [pair.present[here] for pair, here in zip(pairs, seen, strict=True)]
    counts = [pair.count for pair in pairs]
    variance = sum(n * float(mass @ loss**2) for n, loss, mass in zip(counts, losses, masses, strict=True))
    step = FINE * math.sqrt(variance) / sum(counts)
    laws = [_law(loss, mass, step) for loss, mass in zip(losses, masses, strict=True)]
    size = sum((len(law) - 1) * n for (_, law), n in zip(laws, counts, strict=True)) + 1
    room = 1 << size.bit_length()
    spectrum = np.prod([np.fft.rfft(law, room) ** n for (_, law), n in zip(laws, counts, strict=True)], axis=0)
    law = np.clip(np.fft.irfft(spectrum, room)[:size], 0, None)
    values = (sum(first * n for (first, _), n in zip(laws, counts, strict=True)) + np.arange(size)) * step

    def excess(epsilon: float) -> float:
        beyond = values > epsilon
        return math.fsum(law[beyond] * -np.expm1(epsilon - values[beyond])) - delta

    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, float(values[-1])))


def _law(losses: FloatArray, masses: FloatArray, step: float) -> tuple[int, FloatArray]:
    """Return the law of a loss on the grid: the place of its first mass, and the masses."""
    places = np.floor(losses / step).astype(int)
    return int(places.min()), np.bincount(places - places.min(), weights=masses)
