"""Accuracy of one user's ranking, as pure functions of the ranks of what the user went on to choose.

Every metric takes the 1-based ranks of the user's relevant items among *all* items the user has not
seen, and a cut-off `k`. The value lies in [0, 1], does not fall when a relevant item moves up, and is
nan for a user without relevant items (such users are not averaged). Relevance is binary.

A further metric is a function of the same shape, decorated with `@METRICS.register("name")`, or an
entry point in the group `fedrec.metrics`; every evaluation then reports it as `name@k`.
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.data.interactions import IntArray


class Metric(Protocol):
    """A user's ranks (distinct, 1-based, in any order) and a cut-off in, a value in [0, 1] or nan out."""

    def __call__(self, ranks: IntArray, k: int) -> float:
        """Return the metric of one user."""
        ...


METRICS: Registry[Metric] = Registry("metric", group="fedrec.metrics")


@METRICS.register("ndcg")
def ndcg_at(ranks: IntArray, k: int) -> float:
    """Return the normalised discounted cumulative gain, `DCG / ideal DCG` (Järvelin and Kekäläinen, 2002).

    `DCG = sum of 1 / log2(rank + 1)` over the relevant items within the first `k`; the ideal puts
    `min(k, relevant)` relevant items first.

    Args:
        ranks: 1-based rank of each relevant item among all unseen items.
        k: Cut-off, at least 1.

    Returns:
        A value in [0, 1]; 1 if the list starts with relevant items as far as there are any; nan without
        relevant items.

    Raises:
        ConfigError: If `k` is below 1.
    """
    found = _within(ranks, k)
    if len(ranks) == 0:
        return math.nan
    ideal = np.arange(1, min(k, len(ranks)) + 1)
    return float(_discount(found).sum() / _discount(ideal).sum())


@METRICS.register("recall")
def recall_at(ranks: IntArray, k: int) -> float:
    """Return the share of a user's relevant items ranked within the first `k`.

    Args:
        ranks: 1-based rank of each relevant item among all unseen items.
        k: Cut-off, at least 1. The share is of all relevant items, not of `min(k, relevant)`.

    Returns:
        A value in [0, 1]; nan without relevant items.

    Raises:
        ConfigError: If `k` is below 1.
    """
    found = _within(ranks, k)
    return len(found) / len(ranks) if len(ranks) else math.nan


@METRICS.register("hit_rate")
def hit_rate_at(ranks: IntArray, k: int) -> float:
    """Return 1 if any relevant item is ranked within the first `k`, else 0 (HR, the mean over users).

    Args:
        ranks: 1-based rank of each relevant item among all unseen items.
        k: Cut-off, at least 1.

    Returns:
        0 or 1; nan without relevant items. With one relevant item it equals the recall.

    Raises:
        ConfigError: If `k` is below 1.
    """
    found = _within(ranks, k)
    return float(len(found) > 0) if len(ranks) else math.nan


@METRICS.register("mrr")
def reciprocal_rank(ranks: IntArray, k: int) -> float:
    """Return `1 / rank` of the first relevant item, 0 if it comes after `k` (MRR; Voorhees, TREC-8, 1999).

    Args:
        ranks: 1-based rank of each relevant item among all unseen items.
        k: Cut-off, at least 1.

    Returns:
        A value in [0, 1]; nan without relevant items.

    Raises:
        ConfigError: If `k` is below 1.
    """
    found = _within(ranks, k)
    if len(ranks) == 0:
        return math.nan
    return 1.0 / float(found[0]) if len(found) else 0.0


@METRICS.register("map")
def average_precision_at(ranks: IntArray, k: int) -> float:
    """Return the average precision, `sum of precision@rank / relevant` (MAP; trec_eval's `map_cut`).

    The sum runs over the relevant items within the first `k`; the i-th of them, in order, has precision
    `i / rank`.

    Args:
        ranks: 1-based rank of each relevant item among all unseen items.
        k: Cut-off, at least 1. As in trec_eval the sum is divided by *all* relevant items, so a perfect
            list scores `k / relevant` where the user has more than `k`.

    Returns:
        A value in [0, 1]; nan without relevant items.

    Raises:
        ConfigError: If `k` is below 1.
    """
    found = _within(ranks, k)
    if len(ranks) == 0:
        return math.nan
    return float((np.arange(1, len(found) + 1) / found).sum() / len(ranks))


def mean_over_users(values: NDArray[np.float64]) -> float:
    """Return the mean of a per-user metric, users with nan left out; nan if nobody is left."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a per-user metric can have.

    Args:
        metric: With its cut-off if it has one. A metric of ranks lies in [0, 1]; what else a task reports of a user is
            an error or a share, at least 0.
    """
    return (0.0, 1.0 if metric.partition("@")[0] in METRICS.names() else math.inf)


def check_cutoff(k: int) -> None:
    """Raise a ConfigError unless `k` is a possible cut-off."""
    if k < 1:
        message = f"a ranking metric needs a cut-off of at least 1, got k={k}; set evaluation.cutoffs"
        raise ConfigError(message)


def _within(ranks: IntArray, k: int) -> IntArray:
    check_cutoff(k)
    return np.sort(ranks[ranks <= k])


def _discount(ranks: IntArray) -> NDArray[np.float64]:
    return np.asarray(1.0 / np.log2(ranks + 1.0), dtype=np.float64)
