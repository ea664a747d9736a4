"""What publishing the best of several trials costs, when their number was drawn at random.

A fixed grid costs the composition of all its trials, whichever of them is published: nothing here applies to it. But
let the number of trials be drawn from a named law, each trial a setting picked uniformly from a grid with replacement
and run with noise of its own, and nothing be published but the best, neither the others nor how many there were. Then
the price hardly grows with their expected number (Liu and Talwar 2019). It is computed here by Renyi divergences
(Papernot and Steinke 2022, theorems 2 and 6, arXiv 2110.03620v2).

"Best" must be by a score of what a trial made and of nothing else that is private. Scoring on volunteers does not make
tuning free: what the trials made of the private users' data still decides which one is seen.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from dp_accounting.rdp import rdp_privacy_accountant as rdp
from numpy.typing import NDArray

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import ORDERS, Release, divergences, merge

Curve = NDArray[np.float64]
"""Renyi divergence at each of the accountant's orders."""


def epsilon_of_best(trials: Iterable[Sequence[Release]], mean: float, law: str, delta: float) -> float:
    """Return the epsilon of publishing the best of a random number of trials, each picked uniformly from a grid.

    One trial costs at most the largest divergence in the grid, order by order: the setting is drawn independently of
    the data, and may be published with its result.

    Args:
        trials: What a unit's data goes into in a trial of each setting; none cost 0, one without noise inf.
        mean: Expected number of trials, at least 1. A Poisson number may be 0, and then nothing is published.
        law: Of the number of trials: one of `LAWS`.
        delta: Chance of failure, in (0, 1).

    Raises:
        PrivacyError: If the law, its mean or delta is out of range.
    """
    if law not in LAWS or not 1 <= mean < math.inf or not 0 < delta < 1:
        message = (
            f"the best of a {law} number of trials with mean {mean:g} at delta {delta:g} has no price here; the number "
            f"is {', '.join(LAWS)}, its mean at least 1 and finite, delta between 0 and 1"
        )
        raise PrivacyError(message)
    grid = [kinds for releases in trials if (kinds := merge(releases))]
    if not grid:
        return 0.0
    if any(kind.noise_multiplier == 0 for kinds in grid for kind in kinds):
        return math.inf
    worst = np.maximum.reduce([divergences(kinds) for kinds in grid])
    return float(rdp.compute_epsilon(ORDERS, LAWS[law](ORDERS, worst, mean), delta)[0])


def _poisson(orders: Curve, curve: Curve, mean: float) -> Curve:
    """Return the divergences of the best of Poisson many (theorem 6).

    Beside a Renyi bound at an order the theorem needs delta at `epsilon = log(1 + 1 / (order - 1))`, which the whole
    curve gives.
    """
    deltas = np.array([rdp.compute_delta(orders, curve, math.log1p(1 / (order - 1)))[0] for order in orders])
    return np.asarray(curve + mean * deltas + math.log(mean) / (orders - 1))


def _negative_binomial(orders: Curve, curve: Curve, mean: float, shape: float, surprise: float) -> Curve:
    """Return the divergences of the best of a truncated negative binomial number (theorem 2).

    Args:
        orders: Above 1.
        curve: Of one trial.
        mean: Of their number.
        shape: The law's eta, at least 0.
        surprise: log(1 / gamma) of the law's other parameter, which follows from its mean.
    """
    # The second order of the theorem is free; at 1 its divergence does not count.
    second = min(float(np.min((1 - 1 / orders) * curve + surprise / orders)), surprise)
    found = curve + math.log(mean) / (orders - 1) + (1 + shape) * second
    # Divergences rise with the order, so a bound at a higher one holds at each below it, too.
    return np.asarray(np.minimum.accumulate(found[::-1])[::-1])


def _geometric(orders: Curve, curve: Curve, mean: float) -> Curve:
    return _negative_binomial(orders, curve, mean, 1.0, math.log(mean))


def _logarithmic(orders: Curve, curve: Curve, mean: float) -> Curve:
    return _negative_binomial(orders, curve, mean, 0.0, surprise_of_logarithmic(mean))


def surprise_of_logarithmic(mean: float) -> float:
    """Return x = log(1 / gamma) of the logarithmic law, whose mean is (e^x - 1) / x; never below it."""
    low, high = 0.0, 2 * math.log(mean)  # (e^x - 1) / x is at least e^(x / 2)
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if math.expm1(middle) / middle < mean else (low, middle)
    return high


LAWS: Mapping[str, Callable[[Curve, Curve, float], Curve]] = MappingProxyType(
    {"poisson": _poisson, "geometric": _geometric, "logarithmic": _logarithmic}
)
"""How the number of trials may be drawn: orders, one trial's curve and the mean -> the curve of the best."""
