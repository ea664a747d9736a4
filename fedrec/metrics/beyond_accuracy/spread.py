"""How the lists of all users together use the catalogue: how much of it, and how evenly."""

import numpy as np

from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Lists


@LIST_METRICS.register("coverage")
def coverage(lists: Lists) -> float:
    """Return the share of the catalogue that is recommended to anyone, in (0, 1]."""
    return len(np.unique(np.concatenate(lists.items))) / lists.num_items


@LIST_METRICS.register("gini")
def gini(lists: Lists) -> float:
    """Return the Gini coefficient of how often each item of the catalogue is recommended.

    0 if all items are recommended equally often, `1 - 1 / items` if only one ever is; items never
    recommended count. With frequencies `x` sorted ascending: `sum (2 i - n - 1) x_i / (n sum x_i)`.
    """
    frequency = np.sort(np.bincount(np.concatenate(lists.items), minlength=lists.num_items))
    weights = 2.0 * np.arange(1, lists.num_items + 1) - lists.num_items - 1
    return float(weights @ frequency / (lists.num_items * frequency.sum()))
