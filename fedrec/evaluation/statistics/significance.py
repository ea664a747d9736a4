"""How sure we are of one trained model: intervals over users, and paired tests between recommenders.

Users are the unit here. What several splits and seeds say together is in `fedrec.evaluation.statistics.replicates`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedrec.core.seeding import rng_for
from fedrec.metrics.accuracy import mean_over_users

FloatArray = NDArray[np.float64]

FEW_USERS = 30
"""With fewer users than this a mean says little, and neither do the intervals that bootstrap it."""

SIGNIFICANT = 0.05
"""A p-value below this is called a difference."""

POWER = 0.8
"""How often a difference that is just large enough is found."""

_BATCH_CELLS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; `low` and `high` are nan where one value cannot give any."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One recommender against the reference.

    Attributes:
        difference: Mean over users of its metric less the reference's.
        p_value: Of the two-sided paired test.
        p_holm: The same, corrected for all comparisons made together.
        minimal_difference: The least true difference that these users would show (see `minimal_difference`).
    """

    difference: float
    p_value: float
    p_holm: float
    minimal_difference: float


def bootstrap_interval(values: FloatArray, *, seed: int = 0, level: float = 0.95, resamples: int = 2_000) -> Interval:
    """Return the mean over users with its percentile bootstrap interval (Efron and Tibshirani, 1993, ch. 13).

    Args:
        values: One value per user; nan (a user without relevant items) is left out.
        seed: Seed of the draw called "bootstrap"; the same seed gives the same interval.
        level: Confidence level, in (0, 1).
        resamples: Number of bootstrap samples.

    Returns:
        The interval; without bounds for one user, and all nan for none.
    """
    defined = values[~np.isnan(values)]
    if len(defined) < 2:
        return Interval(mean_over_users(defined), math.nan, math.nan)
    bounds = stats.bootstrap(
        (defined,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _BATCH_CELLS // len(defined)),
        vectorized=True,
        confidence_level=level,
        method="percentile",
        rng=rng_for(seed, "bootstrap"),
    ).confidence_interval
    return Interval(float(defined.mean()), float(bounds.low), float(bounds.high))


def paired_test(first: FloatArray, second: FloatArray) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test (1945) between two recommenders.

    Args:
        first: One value per user.
        second: One value per user, for the same users in the same order.

    Returns:
        The p-value; 1 if no user differs. Users without a difference are dropped, as in Wilcoxon's test,
        and so are users with nan in either.

    Raises:
        ValueError: If the two are not of the same users (different lengths).
    """
    if first.shape != second.shape:
        message = f"a paired test needs the same users in both, got {len(first)} and {len(second)} values"
        raise ValueError(message)
    differences = first - second
    differences = differences[~np.isnan(differences) & (differences != 0)]
    return float(stats.wilcoxon(differences).pvalue) if len(differences) else 1.0


def margin(users: int, level: float = 0.95) -> float:
    """Return how far the mean over users may be from that of the population, for any metric in [0, 1].

    Hoeffding's bound (1963, theorem 1): `sqrt(ln(2 / (1 - level)) / (2 * users))`, at most 1. It holds for the fewest
    users, where neither the bootstrap nor a normal approximation does.

    Args:
        users: How many, at least 1.
        level: How sure, in (0, 1).
    """
    return min(1.0, math.sqrt(math.log(2 / (1 - level)) / (2 * users)))


def least_p_value(users: int) -> float:
    """Return the least p-value that the paired test can give, when all of at least 1 users differ the same way."""
    return min(1.0, 2.0 ** (1 - users))


def compare(reference: FloatArray, others: Mapping[str, FloatArray]) -> dict[str, Comparison]:
    """Return each of `others` against the reference, user by user, Holm-corrected over all of them.

    Args:
        reference: One value per user.
        others: Name -> one value per user, for the same users in the same order.
    """
    p_values = [paired_test(values, reference) for values in others.values()]
    return {
        name: Comparison(mean_over_users(values - reference), p_value, p_holm, _least_shown(values - reference))
        for (name, values), p_value, p_holm in zip(others.items(), p_values, holm(p_values), strict=True)
    }


def minimal_difference(error: float, degrees: float) -> float:
    """Return the least true difference that a two-sided test at 5 % finds with 80 % power.

    It is `(t(97.5 %) + t(80 %)) * error` (Bloom 1995), of one comparison: what is corrected for several needs more.

    Args:
        error: Standard error of the paired difference; nan gives nan.
        degrees: Degrees of freedom of Student's t.
    """
    return float((stats.t.ppf(1 - SIGNIFICANT / 2, degrees) + stats.t.ppf(POWER, degrees)) * error)


def _least_shown(differences: FloatArray) -> float:
    defined = differences[~np.isnan(differences)]
    if (users := len(defined)) < 2:
        return math.nan
    return minimal_difference(float(defined.std(ddof=1)) / math.sqrt(users), users - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple testing (Holm, 1979), in the order given; none for none.

    The i-th smallest of `m` is multiplied by `m - i + 1`; none may fall below a smaller one's, nor exceed 1.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    corrected = np.empty_like(raw)
    corrected[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1.0)
    return [float(value) for value in corrected]
