"""Group privacy: what a claim about one unit says about several units of the same person.

The group's own privacy-loss distribution is tighter than the textbook `k * epsilon` with
`k * exp((k - 1) * epsilon) * delta`: a group of k shifts the sum by at most Binomial(k, rate) clip norms, so a
release is a mixture of Gaussians (dp-accounting's `from_mixture_gaussian_mechanism`).
"""

import math
from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from dp_accounting.pld import privacy_loss_distribution

from fedrec.privacy.accounting.prices import MEANINGLESS_LOSS, Release, merge

_CELLS = 20_000


def group_epsilon(releases: Iterable[Release], size: int, delta: float) -> float:
    """Return the epsilon for `size` units added or removed together, an upper bound.

    Args:
        releases: What one unit's data went into; none cost 0.
        size: Units in the group; 0 costs 0.
        delta: The group's own chance of failure, in (0, 1).

    Returns:
        The PLD epsilon, or inf where no meaningful group guarantee is left (a release without noise, an expected
        privacy loss above 1,000) or none is known (noise that is not Gaussian, draws other than Poisson's, where
        members meet each other's).
    """
    kinds = merge(releases)
    if not kinds or size == 0:
        return 0.0
    known = all(kind.draw == "poisson" and kind.mechanism == "gaussian" for kind in kinds)
    if not known or any(kind.noise_multiplier == 0 for kind in kinds):
        return math.inf
    return _group_epsilon(kinds, size, delta)


@lru_cache(maxsize=64)
def _group_epsilon(kinds: tuple[Release, ...], size: int, delta: float) -> float:
    # E[shift^2] / (2 z^2) bounds the mean loss of one release, by convexity of the KL divergence.
    loss = sum(
        kind.count
        * (kind.sampling_rate * size)
        * (1 + kind.sampling_rate * (size - 1))
        / (2 * kind.noise_multiplier**2)
        for kind in kinds
    )
    if loss > MEANINGLESS_LOSS:
        return math.inf
    interval = min(_interval(size, kind) for kind in kinds)
    parts = [_mixture(kind, size, interval).self_compose(kind.count) for kind in kinds]
    return float(reduce(lambda left, right: left.compose(right), parts).get_epsilon_for_delta(delta))


def _interval(size: int, kind: Release) -> float:
    """Return the grid's step: a twentieth of the mean shift, at least the range of losses / 20,000 cells."""
    farthest = size / kind.noise_multiplier
    return max(min(0.01, farthest * kind.sampling_rate / 20), (farthest**2 / 2 + 10 * farthest) / _CELLS)


def _mixture(kind: Release, size: int, interval: float) -> Any:
    if kind.sampling_rate == 1:
        return privacy_loss_distribution.from_gaussian_mechanism(
            kind.noise_multiplier / size, value_discretization_interval=interval
        )
    present, absent = math.log(kind.sampling_rate), math.log1p(-kind.sampling_rate)
    ways = [math.lgamma(size + 1) - math.lgamma(shift + 1) - math.lgamma(size - shift + 1) for shift in range(size + 1)]
    chances = np.exp([way + shift * present + (size - shift) * absent for shift, way in enumerate(ways)])
    return privacy_loss_distribution.from_mixture_gaussian_mechanism(
        kind.noise_multiplier, np.arange(size + 1.0), chances / chances.sum(), value_discretization_interval=interval
    )
