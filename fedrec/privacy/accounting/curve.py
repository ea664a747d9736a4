"""What a composition promises at once: epsilon at every delta, and the errors that it forces on whoever guesses.

A guess whether a unit's data were used has two errors: alpha, the chance to say yes when they were not, and beta, the
chance to say no when they were. The trade-off function is the least beta for each alpha (Dong, Roth and Su 2022,
"Gaussian differential privacy"); a coin's is 1 - alpha. By duality (same paper) delta(epsilon) gives it:
beta >= 1 - delta - exp(epsilon) alpha, and the same with alpha and beta exchanged. Any set of epsilons makes a true, if
lower, curve.

mu is that of the Gaussian mechanism that bounds the run: N(0, 1) or N(mu, 1), guess which. Under sampling no mu below
`mu_everywhere` bounds the whole curve, because a unit that happened to be in every sum is as exposed as without
sampling, however seldom that is; so `mu` leaves out what happens with a chance of at most delta.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from fedrec.privacy.accounting.prices import Release, composed, epsilon, merge

Vector = NDArray[np.float64]

RATES = (0.0, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""False positive rates of the points of a curve."""

DELTAS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)

_EPSILONS = 1001


@dataclass(frozen=True)
class Curve:
    """What a composition promises.

    Attributes:
        epsilons: (delta, epsilon), delta falling.
        tradeoff: (alpha, beta): no guess with so many false positives has fewer false negatives; empty where the
            expected privacy loss is so large that no curve is computed.
        mu: The smallest found such that delta(epsilon) is at most the Gaussian mechanism's at every epsilon up to the
            run's: its trade-off function less delta lies below the run's everywhere. Equal to `mu_everywhere` without
            sampling; inf without noise.
        mu_everywhere: Of the Gaussian mechanism whose trade-off function itself lies below the run's everywhere: that
            of the same releases without sampling.
    """

    epsilons: tuple[tuple[float, float], ...]
    tradeoff: tuple[tuple[float, float], ...]
    mu: float
    mu_everywhere: float

    def to_json(self) -> dict[str, Any]:
        """Return the curve for `summary.json`."""
        return {
            "epsilon_at": [{"delta": delta, "epsilon": value} for delta, value in self.epsilons],
            "tradeoff": [{"false_positives": alpha, "false_negatives": beta} for alpha, beta in self.tradeoff],
            "mu": self.mu,
            "mu_everywhere": self.mu_everywhere,
        }


def curve(releases: Iterable[Release], delta: float, rates: Sequence[float] = RATES) -> Curve:
    """Return what `releases` together promise.

    What a shuffler adds is known at the deltas of `epsilons` alone: the trade-off has these points, mu none of them.

    Args:
        releases: What a unit's data went into; of none every guess is a coin's, and any without noise gives nothing.
        delta: The run's chance of failure, in (0, 1); epsilon is told for it and the powers of ten below.
        rates: False positive rates of the trade-off curve's points.
    """
    kinds = merge(releases := tuple(releases))
    deltas = (delta, *(power for power in DELTAS if power < delta))
    epsilons = tuple((at, epsilon(releases, at).pld) for at in deltas)
    everywhere = unsampled_mu(kinds)
    losses = composed(kinds) if kinds and math.isfinite(everywhere) else None
    if losses is None:
        points = [(rate, 1 - rate) for rate in rates] if not kinds else []
        return Curve(epsilons, tuple(points), everywhere, everywhere)
    grid = np.linspace(0.0, epsilons[0][1], _EPSILONS)
    profile = np.asarray(losses.get_delta_for_epsilon(grid))
    sampled = any(kind.sampling_rate < 1 for kind in kinds)
    mu = min(everywhere, bounding_mu(grid, profile)) if sampled else everywhere
    # Beyond the run's epsilon, where the few false positives are.
    steep = np.linspace(0.0, max(epsilons[-1][1], 1.0), _EPSILONS)
    all_epsilons = np.concatenate((grid, steep, [value for _, value in epsilons]))
    all_deltas = np.concatenate((profile, np.asarray(losses.get_delta_for_epsilon(steep)), deltas))
    betas = tradeoff(np.asarray(rates), all_epsilons, all_deltas)
    return Curve(epsilons, tuple(zip(map(float, rates), betas.tolist(), strict=True)), mu, everywhere)


def unsampled_mu(kinds: Sequence[Release]) -> float:
    """Return mu of merged releases as if a unit were in every sum: Gaussians compose by the root of the squares' sum.

    0 of none, inf without noise and for noise that is not Gaussian.
    """
    if any(kind.mechanism != "gaussian" for kind in kinds):
        return math.inf
    return math.sqrt(math.fsum(kind.count * kind.distance**2 for kind in kinds))


def tradeoff(rates: Vector, epsilons: Vector, deltas: Vector) -> Vector:
    """Return the false negative rate that `(epsilon, delta)` pairs force on each false positive rate.

    Args:
        rates: Between 0 and 1, `[rates]`.
        epsilons: At least 0, `[pairs]`.
        deltas: Chance of failure at each, `[pairs]`.

    Returns:
        The largest of the pairs' bounds, at least 0, `[rates]`: 0 for no pairs.
    """
    alphas, odds = rates[:, None], np.exp(np.minimum(epsilons, 700.0))
    bounds = np.maximum(1 - deltas - odds * alphas, (1 - deltas - alphas) / odds)
    found: Vector = np.maximum(bounds, 0.0).max(axis=1, initial=0.0)
    return found


def bounding_mu(epsilons: Vector, deltas: Vector) -> float:
    """Return a mu whose delta is at least the given one at every epsilon between the first and the last.

    Between two points the given delta is at most the left one's, and the Gaussian's at least the right one's: so each
    pair of neighbours has its mu, and the largest will do. A finer grid lowers it.

    Args:
        epsilons: At least two, ascending, `[points]`.
        deltas: Falling, `[points]`; 0 needs nothing.
    """
    pairs = zip(epsilons[1:].tolist(), deltas[:-1].tolist(), strict=True)
    return max(mu_for(value, delta) for value, delta in pairs)


def mu_for(value: float, delta: float) -> float:
    """Return the mu whose Gaussian mechanism has this delta at an epsilon; 0 for delta 0, inf for 1 and more."""
    if not 0 < delta < 1:
        return math.inf if delta >= 1 else 0.0
    return float(brentq(lambda mu: gaussian_delta(value, mu) - delta, 1e-9, 1e4, xtol=1e-12, rtol=1e-10))


def gaussian_delta(value: float, mu: float) -> float:
    """Return delta of the Gaussian mechanism at an epsilon (Balle and Wang 2018, equation 6), with mu = 1 / noise."""
    return float(ndtr(mu / 2 - value / mu) - math.exp(min(value + log_ndtr(-mu / 2 - value / mu), 0.0)))
