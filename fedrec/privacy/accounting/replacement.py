"""What sampling without replacement costs: each round a uniformly random subset of m of the n units, drawn in secret.

Size and n are public. A neighbour has one unit's data replaced by nothing; the unit stays in the draw (zero-out).

Let q = m / n, u the unit's contribution and z the noise's deviation, in clip norms. A subset is drawn by drawing m - 1
of the others, one more of them, whose contribution is w, and a coin that puts the unit (with chance q) or that other
one into the last place. Given everything but the coin, and with the m - 1 taken off, a round shows

    P = (1 - q) N(w, z^2 I) + q N(u, z^2 I)    with the unit's data,
    Q = (1 - q) N(w, z^2 I) + q N(0, z^2 I)    without,

and divergences of the whole are at most the largest of these, by joint convexity. For alpha >= 1 the hockey-stick
divergence of P from Q is (Balle, Barthe and Gaboardi 2018, theorem 2)

    q E[(1 - a L(w - u) - b L(-u))_+],    L(v) = exp((y v - |v|^2 / 2) / z^2),    y ~ N(0, z^2 I),

a, b >= 0 depending on q and alpha alone. By Kahane's convexity inequality (1985) the mean of a convex function of such
a sum rises with the variances and the covariance of the exponents: |w - u|^2 <= 4, |u|^2 <= 1, (w - u) (-u) <= 2. All
are largest together, at w = -u and |u| = 1, so that

    (1 - q) N(0) + q N(2)    against    (1 - q) N(0) + q N(1)

bounds P from Q. Q from P has w and u in their places, with |w|^2, |u|^2, w u <= 1, which gives the pair of Poisson
sampling. Each bound is attained, by others who all contribute -u or all u; that Poisson's pair does not serve for both
is what Lebeda et al. 2024 warn of. Below alpha = 1 each direction follows from the other.

Rounds compose, each by a draw of its own, and may depend on earlier results; but no client may remember what nobody saw
of earlier rounds, as then the others' contributions would depend on the unit's earlier draws.
"""

import math
from typing import Any

import numpy as np
from dp_accounting import GaussianDpEvent, NeighboringRelation, SampledWithoutReplacementDpEvent, rdp
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.pld.pld_pmf import create_pmf_pessimistic_connect_dots
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

FloatArray = NDArray[np.float64]

_FINE = 10**9
"""Units of the population that stands for a rate: the share drawn of it is at most 1e-9 too large."""


def pld(noise_multiplier: float, rate: float, interval: float) -> Any:
    """Return dp-accounting's privacy-loss distribution of one round, an upper bound in both directions.

    Args:
        noise_multiplier: Noise standard deviation over the clip norm, above 0.
        rate: Share of the units in a round, m / n, in (0, 1]; 1 gives the Gaussian mechanism.
        interval: Step of the grid of losses.
    """
    precision = 1 / noise_multiplier
    most = math.ceil((precision**2 / 2 + 10 * precision) / interval)
    losses: FloatArray = np.arange(most + 1) * np.float64(interval)
    present, absent = with_data(losses, noise_multiplier, rate), without_data(losses, noise_multiplier, rate)
    places = np.arange(-most, most + 1)
    return privacy_loss_distribution.PrivacyLossDistribution(
        create_pmf_pessimistic_connect_dots(interval, places, _both_sides(losses, present, absent)),
        create_pmf_pessimistic_connect_dots(interval, places, _both_sides(losses, absent, present)),
    )


def with_data(losses: FloatArray, noise_multiplier: float, rate: float) -> FloatArray:
    """Return the hockey-stick divergence of P from Q at `exp(losses)`, losses at least 0.

    Beyond one point x every result is more than exp(loss) times as likely under P: a quadratic equation in
    exp(x / z^2).
    """
    excess = (1 - rate) / rate * math.exp(-(noise_multiplier**-2))
    root = np.sqrt(1 - 4 * excess * np.expm1(-losses) * np.exp(-losses))
    cut = 1.5 + noise_multiplier**2 * (losses + np.log((1 + root) / 2))
    here, one, two = (_Beyond(losses, (cut - mean) / noise_multiplier) for mean in (0, 1, 2))
    return _chance(rate * (two.mass - one.scaled) + (1 - rate) * (here.mass - here.scaled))


def without_data(losses: FloatArray, noise_multiplier: float, rate: float) -> FloatArray:
    """Return the hockey-stick divergence of Q from P at `exp(losses)`, losses at least 0: that of Poisson sampling."""
    cut = 0.5 + noise_multiplier**2 * (losses + np.log1p(-(1 - rate) * np.exp(-losses)) - math.log(rate))
    here, one = (_Beyond(losses, (cut - mean) / noise_multiplier) for mean in (0, 1))
    return _chance(rate * one.mass + (1 - rate) * here.mass - here.scaled)


def renyi(noise_multiplier: float, rate: float, orders: FloatArray) -> FloatArray:
    """Return an upper bound of one round's Renyi divergence at each order: the smaller of two.

    One is for any mechanism and for replacing a unit, at which a sum changes by two clip norms (Wang, Balle and
    Kasiviswanathan 2019); the other shows who is in the round, which leaves a Gaussian release with chance `rate`.
    """
    accountant = rdp.RdpAccountant(orders, NeighboringRelation.REPLACE_ONE)
    drawn = min(_FINE, math.ceil(rate * _FINE))
    accountant.compose(SampledWithoutReplacementDpEvent(_FINE, drawn, GaussianDpEvent(noise_multiplier / 2)))
    absent = math.log1p(-rate) if rate < 1 else -math.inf
    shown = np.logaddexp(absent, math.log(rate) + orders * (orders - 1) / (2 * noise_multiplier**2)) / (orders - 1)
    smaller: FloatArray = np.minimum(accountant.rdp, shown)
    return smaller


class _Beyond:
    """A standard normal's mass beyond a cut, and `exp(losses)` times that, which never overflows."""

    def __init__(self, losses: FloatArray, cut: FloatArray) -> None:
        self.mass = ndtr(-cut)
        self.scaled = np.exp(losses + log_ndtr(-cut))


def _chance(value: FloatArray) -> FloatArray:
    clipped: FloatArray = np.clip(value, 0, 1)
    return clipped


def _both_sides(losses: FloatArray, direct: FloatArray, reverse: FloatArray) -> FloatArray:
    """Return divergences at -losses and losses, ascending: the former follow from the other direction's."""
    below = np.exp(-losses[:0:-1]) * reverse[:0:-1] - np.expm1(-losses[:0:-1])
    return np.concatenate([below, direct])
