"""Calibration (Steck, 2018): whether a list has the kinds of items that the user's history has, in its proportions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray
from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Lists, PerUser
from fedrec.metrics.beyond_accuracy.kinds import Kinds

SMOOTHING = 0.01
"""Steck's alpha: how much of the history's distribution is mixed into the list's, so that no ratio is infinite."""


@LIST_METRICS.register("miscalibration")
def miscalibration(lists: Lists) -> float | None:
    """Return the mean miscalibration of a list (see `miscalibrations`), at least 0, less is better."""
    return None if lists.kinds is None else mean_over_users(miscalibrations(lists.items, lists.histories, lists.kinds))


def miscalibrations(lists: Sequence[IntArray], histories: Sequence[IntArray], kinds: Kinds) -> PerUser:
    """Return how far the kinds of each list are from those of its user's history (Steck, 2018, section 3).

    `p` and `q` are the mean kinds of the history's and of the list's items, each item of equal weight.

    Args:
        lists: Items of each user's list.
        histories: Items of each user's history.
        kinds: How much each item is of each kind, `[items, kinds]`.

    Returns:
        `divergence(p, q)` of each user in nats; nan for one whose history has no item of any kind.
    """
    pairs = zip(histories, lists, strict=True)
    return np.array(
        [float(divergence(mean_kinds(kinds, history), mean_kinds(kinds, own))) for history, own in pairs],
        dtype=np.float64,
    )


def mean_kinds(kinds: Kinds, items: IntArray) -> NDArray[np.float64]:
    """Return the distribution over kinds of some items, `[kinds]`; 0 if none of them is of any."""
    total = kinds[items].sum(axis=0)
    return np.asarray(total / max(total.sum(), 1.0) if total.any() else total)


def divergence(wanted: NDArray[np.float64], got: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sum over kinds of p log(p / ((1 - alpha) q + alpha p))` in nats, `[...]`.

    Args:
        wanted: `p`, `[kinds]`.
        got: `q`, `[..., kinds]`; all 0 for a list without any kind, the most that a list can be off: `-log alpha`.

    Returns:
        0 for `q = p`; nan where `p` is 0 everywhere.
    """
    if not wanted.any():
        return np.full(got.shape[:-1], np.nan)
    some = wanted > 0  # a kind outside the history counts through what it takes from the others
    smoothed = (1 - SMOOTHING) * got[..., some] + SMOOTHING * wanted[some]
    return np.asarray((wanted[some] * np.log(wanted[some] / smoothed)).sum(axis=-1))
