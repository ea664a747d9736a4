"""What random allocation costs: of every `bins` rounds, one epoch, a unit is in exactly one, drawn in secret.

Every unit draws its round for itself ("balls in bins", Chua et al. 2024), so how many others are in a round says
nothing about it. One epoch is dominated by the pair

    P = mean over i of N(e_i, z^2 I)    with the unit's data,    Q = N(0, z^2 I)    without,

in `bins` dimensions, e_i being the i-th unit vector and z the noise multiplier (Chua et al. 2024; Feldman and Shenfeld
2025). Epochs are drawn afresh and compose. An epoch cut short is one whose last results nobody looked at.

A proof that lets contributions depend on earlier results y, and on which rounds b the unit was in before (a client may
keep parameters of its own): given what others add, P / Q = sum_b p_b exp(G_b - Var G_b / 2), where round by round the
exponents of b and c gain the covariance x_b x_c / z^2, at most 1 / z^2 if both are in the round and else 0. Going
backwards from the last round, by Kahane's convexity inequality (1985) the mean of a convex function of such a sum only
rises if each of these becomes its largest value, and stays a function of the weights without negative second
derivatives. With the largest values all x are one and the same unit vector: the pair above, an axis a round.

The privacy-loss distribution is computed without sampling. P / Q is the mean of `bins` independent log-normal variables
Y = exp((x - 1/2) / z^2), x ~ N(0, z^2). Both hockey-stick divergences are expectations over Q of convex functions of
their sum, and stay so under composition; moving mass of a summand or of a sum apart, without moving its mean, can
therefore only raise them. So Y is spread onto a geometric grid, and each sum of two grid points onto the two points
around it: the idea of connecting the dots (Doroshenko et al. 2022), here for sums. What falls off the grid counts as
revealed.
"""

import math
from typing import Any

import numpy as np
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.pld.pld_pmf import create_pmf
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, ndtr

FloatArray = NDArray[np.float64]

_TAIL = 9.0
"""Deviations of a round's noise beyond which a result counts as revealed: a chance of 1e-19."""
_CELLS = 40
"""Grid steps in one standard deviation of P / Q."""
_LOST = 1e-17
"""Probability at either end of the grid that is given up, as revealed, each time that sums are added."""
_LARGEST = 690.0
"""Logarithm up to which sums of Y are safe from overflow."""
_ORDERS = 256
"""Highest order of Renyi divergence that is computed."""


def bins_of(rate: float) -> int:
    """Return how many rounds an epoch has in which a unit takes part at `rate`: the whole number next to 1 / rate."""
    return max(1, round(1 / rate))


def pld(noise_multiplier: float, rate: float, interval: float) -> Any:
    """Return dp-accounting's privacy-loss distribution of one epoch, an upper bound in both directions.

    Args:
        noise_multiplier: Noise standard deviation over the clip norm, above 0; below about 0.03, where P / Q has no
            floating-point number, everything counts as revealed.
        rate: 1 / bins, in (0, 1]; 1 gives the Gaussian mechanism. Time grows with the number of bins: 0.1 seconds for
            20, 3 for 1,000.
        interval: Step of the grid of losses.
    """
    bins = bins_of(rate)
    if _reach(noise_multiplier) > _LARGEST:
        nothing = create_pmf({0: 0.0}, interval, 1.0, pessimistic_estimate=True)
        return privacy_loss_distribution.PrivacyLossDistribution(nothing)
    step = _step(noise_multiplier, bins)
    first, masses = _summed(_one(noise_multiplier, step), bins, step)
    losses = (first + np.arange(len(masses))) * step - math.log(bins)
    lowest = math.floor(losses[0] / interval)
    below = np.floor(losses / interval).astype(int)
    up = np.expm1(losses - below * interval) / math.expm1(interval)
    absent = np.zeros(below[-1] - lowest + 2)
    np.add.at(absent, below - lowest, masses * (1 - up))
    np.add.at(absent, below - lowest + 1, masses * up)
    places = np.arange(lowest, lowest + len(absent))
    present = absent * np.exp(places * interval)
    return privacy_loss_distribution.PrivacyLossDistribution(
        _pmf(places, present, interval), _pmf(-places[::-1], absent[::-1], interval)
    )


def renyi(noise_multiplier: float, rate: float, orders: FloatArray) -> FloatArray:
    """Return an upper bound of one epoch's Renyi divergence at each order, the larger of both directions.

    With P above, at whole orders it is exact (Feldman and Shenfeld 2025): with f(v) = sum_n v^n / n! exp(n (n - 1) /
    (2 z^2)), the moment of order a is a! / bins^a times the a-th coefficient of f^bins. Between whole orders the next
    one stands, as the divergence never falls; above order 256 it is inf. With Q above, the mean of log-normals is at
    least their geometric mean, which makes it (order - 1 + bins) / (2 bins z^2).
    """
    bins = bins_of(rate)
    highest = min(math.ceil(orders.max()), _ORDERS)
    powers = np.arange(highest + 1)
    one = powers * (powers - 1) / (2 * noise_multiplier**2) - gammaln(powers + 1)
    moments = gammaln(powers + 1) - powers * math.log(bins) + _log_power(one, bins)
    whole = np.ceil(orders).astype(int)
    known = np.minimum(whole, highest)
    present = np.where(whole <= highest, moments[known] / (known - 1), math.inf)
    absent = (orders - 1 + bins) / (2 * bins * noise_multiplier**2)
    larger: FloatArray = np.maximum(present, absent)
    return larger


def _reach(noise_multiplier: float) -> float:
    """Return the largest logarithm of Y that is looked at."""
    return _TAIL / noise_multiplier + noise_multiplier**-2 / 2


def _step(noise_multiplier: float, bins: int) -> float:
    """Return the logarithmic step of the grid of sums: a fraction of the standard deviation of P / Q."""
    spread = math.sqrt(math.expm1(min(noise_multiplier**-2, 50.0)) / bins)
    return min(spread, 1 / noise_multiplier) / _CELLS


def _one(noise_multiplier: float, step: float) -> tuple[int, FloatArray]:
    """Return Y's distribution under Q on the grid: the exponent of its first point and the masses.

    Between two points lie a mass of Y and a mass of Y weighted by itself, which is N(1, z^2)'s; both are kept.
    """
    reach = _reach(noise_multiplier)
    first, last = math.floor(-reach / step), math.ceil(reach / step)
    values = np.exp(np.arange(first, last + 1) * step)
    cuts = (np.arange(first, last + 1) * step * noise_multiplier**2 + 0.5) / noise_multiplier
    absent, present = _between(cuts), _between(cuts - 1 / noise_multiplier)
    up = np.clip((present - values[:-1] * absent) / np.diff(values), 0, absent)
    masses = np.zeros(len(values))
    masses[:-1] += absent - up
    masses[1:] += up
    return first, masses


def _between(cuts: NDArray[np.floating[Any]]) -> FloatArray:
    """Return a standard normal's mass between neighbours, as precise in one tail as in the other."""
    mirrored = cuts[:-1] > 0
    low, high = np.where(mirrored, -cuts[1:], cuts[:-1]), np.where(mirrored, -cuts[:-1], cuts[1:])
    masses: FloatArray = ndtr(high) - ndtr(low)
    return masses


def _summed(one: tuple[int, FloatArray], terms: int, step: float) -> tuple[int, FloatArray]:
    """Return the distribution of the sum of so many independent ones, by doubling."""
    if terms == 1:
        return one
    half = _summed(one, terms // 2, step)
    even = _kept(_added(half, half, step), terms // 2 * 2, step)
    return even if terms % 2 == 0 else _kept(_added(even, one, step), terms, step)


def _added(left: tuple[int, FloatArray], right: tuple[int, FloatArray], step: float) -> tuple[int, FloatArray]:
    """Return the distribution of a sum of two, each sum of grid points spread over the two points around it.

    How far a sum lies above the right point depends on the distance of the two alone, so that one distance is one
    operation on arrays.
    """
    (first_left, masses_left), (first_right, masses_right) = left, right
    gaps = np.arange(1 - len(masses_right), len(masses_left))
    exact = np.logaddexp(0, (gaps + first_left - first_right) * step) / step
    rises = np.floor(exact).astype(int)
    ups = np.expm1((exact - rises) * step) / math.expm1(step)
    lowest = max(first_left, first_right)
    highest = max(first_left + len(masses_left), first_right + len(masses_right)) + math.ceil(math.log(2) / step) + 1
    total = np.zeros(highest - lowest + 1)
    for gap, rise, up in zip(gaps.tolist(), (rises + first_right - lowest).tolist(), ups.tolist(), strict=True):
        start, end = max(0, -gap), min(len(masses_right), len(masses_left) - gap)
        both = masses_left[start + gap : end + gap] * masses_right[start:end]
        moved = both * up
        total[start + rise : end + rise] += both - moved
        total[start + rise + 1 : end + rise + 1] += moved
    return lowest, total


def _kept(sums: tuple[int, FloatArray], terms: int, step: float) -> tuple[int, FloatArray]:
    """Return the distribution without its ends, of which neither P nor Q sees much."""
    first, masses = sums
    present = masses * np.exp((first + np.arange(len(masses))) * step) / terms
    low = int(np.searchsorted(np.cumsum(masses), _LOST))
    high = len(masses) - int(np.searchsorted(np.cumsum(present[::-1]), _LOST))
    return first + low, masses[low:high]


def _pmf(places: NDArray[np.int64], masses: FloatArray, interval: float) -> Any:
    revealed = max(0.0, 1 - math.fsum(masses))
    losses = dict(zip(places.tolist(), masses.tolist(), strict=True))
    return create_pmf(losses, interval, revealed, pessimistic_estimate=True)


def _log_power(series: FloatArray, exponent: int) -> FloatArray:
    """Return the logarithms of the coefficients of a power series to a whole power, from those of its own."""
    if exponent == 1:
        return series
    half = _log_power(series, exponent // 2)
    even = _log_product(half, half)
    return even if exponent % 2 == 0 else _log_product(even, series)


def _log_product(left: FloatArray, right: FloatArray) -> FloatArray:
    return np.array([logsumexp(left[: n + 1] + right[n::-1]) for n in range(len(left))])
