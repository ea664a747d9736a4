"""Who is served well and who is not: means per group of users, the gap between groups, the worst decile.

A gap between tiny groups is mostly chance, so groups below `MIN_GROUP` users are shown with their size
but do not enter the gap.
"""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray, Users
from fedrec.data.split import Cases
from fedrec.metrics.accuracy import mean_over_users

PerUser = Mapping[str, NDArray[np.float64]]
Labels = NDArray[np.str_]

ACTIVITY = "activity"
MIN_GROUP = 5


@dataclass(frozen=True)
class Groups:
    """One attribute's groups.

    Attributes:
        sizes: Group -> users in it.
        unknown: Users whose value is unknown (""); they are in no group.
        means: Metric -> group -> mean over its users.
        gaps: Metric -> largest less smallest group mean, over groups of at least `MIN_GROUP` users; no
            entry where fewer than two groups are that large.
    """

    sizes: dict[str, int]
    unknown: int
    means: dict[str, dict[str, float]]
    gaps: dict[str, float]


@dataclass(frozen=True)
class Fairness:
    """How evenly a recommender serves its users.

    Attributes:
        groups: Attribute -> its groups.
        missing: Attributes asked for that the data does not have.
        worst_decile: Metric -> mean of the worst-served tenth of the users.
    """

    groups: dict[str, Groups]
    missing: tuple[str, ...]
    worst_decile: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the same as nested plain dicts."""
        return asdict(self)


def compare_groups(
    per_user: PerUser, cases: Cases, users: Users, attributes: Sequence[str], *, errors: AbstractSet[str] = frozenset()
) -> Fairness:
    """Compare the groups of each attribute on each metric.

    Args:
        per_user: Metric -> value of each case's user, as in `Evaluation.per_user`.
        cases: The cases that were evaluated, in the same order.
        users: All users; attributes are looked up by user index.
        attributes: "activity" (see `activity_labels`) or columns of `users.attributes`.
        errors: Metrics of which a lower value is better, for who is served worst.

    Returns:
        The groups of each attribute that the data has; those it lacks are listed as missing.
    """
    labels = labels_of(cases, users, attributes)
    return Fairness(
        groups={name: _groups(per_user, labels[name]) for name in attributes if name in labels},
        missing=tuple(name for name in attributes if name not in labels),
        worst_decile={
            metric: -worst_decile(-values) if metric in errors else worst_decile(values)
            for metric, values in per_user.items()
        },
    )


def labels_of(cases: Cases, users: Users, attributes: Sequence[str]) -> dict[str, Labels]:
    """Return each case's group by attribute, "" where it is unknown; attributes that the data lacks are left out."""
    known = {
        name: np.array([users.attributes[name][user] for user in cases.users], dtype=np.str_)
        for name in attributes
        if name in users.attributes
    }
    return known | ({ACTIVITY: activity_labels(cases.histories)} if ACTIVITY in attributes else {})


def activity_labels(histories: Sequence[IntArray]) -> Labels:
    """Return "low", "mid" or "high" for each history: its length among the thirds of all lengths.

    The thirds are of the users compared. Equal lengths share the group of their middle rank, so with many
    ties groups differ in size or are empty; if all lengths are equal, all are "mid".
    """
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    ascending = np.sort(lengths)
    below = np.searchsorted(ascending, lengths, side="left")
    up_to = np.searchsorted(ascending, lengths, side="right")
    # In whole numbers, for floats would put users on the border between two thirds on either side.
    third = 3 * (below + up_to) // (2 * max(1, len(lengths)))
    return np.take(np.array(["low", "mid", "high"], dtype=np.str_), third)


def worst_decile(values: NDArray[np.float64]) -> float:
    """Return the mean of the lowest 10 % of `values`, rounded down but at least one; nan if there is none."""
    ascending = np.sort(values[~np.isnan(values)])
    return float(ascending[: max(1, len(ascending) // 10)].mean()) if len(ascending) else math.nan


def _groups(per_user: PerUser, labels: Labels) -> Groups:
    names = [str(name) for name in np.unique(labels) if name != ""]
    sizes = {name: int((labels == name).sum()) for name in names}
    large = [name for name in names if sizes[name] >= MIN_GROUP]
    means = {
        metric: {name: mean_over_users(values[labels == name]) for name in names} for metric, values in per_user.items()
    }
    gaps = {
        metric: max(of[name] for name in large) - min(of[name] for name in large)
        for metric, of in means.items()
        if len(large) > 1
    }
    return Groups(sizes=sizes, unknown=int((labels == "").sum()), means=means, gaps=gaps)
