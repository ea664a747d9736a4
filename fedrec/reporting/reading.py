"""By what a summary is read: what its task judged, which metric comes first, and which way is better."""

from dataclasses import dataclass
from typing import Any

from fedrec.reporting.wording import Summary, get_path


@dataclass(frozen=True)
class Reading:
    """What pages and tables show of a task's evaluation.

    Attributes:
        targets: What of each held-out user was judged -> the same in words, the most telling first.
        target: Name of that one.
        metric: What is shown first.
        higher_is_better: Whether a higher value of it is a better one.
        ranks: Whether lists of items were judged.
    """

    targets: dict[str, str]
    target: str
    metric: str
    higher_is_better: bool
    ranks: bool

    def gain(self, value: float) -> float:
        """Return a value such that more is better."""
        return value if self.higher_is_better else -value


NOTHING = Reading({}, "", "", higher_is_better=True, ranks=False)


def reading(*summaries: Summary | None) -> Reading:
    """Return how summaries of one task are read, all targets that any of them was scored on; of none: `NOTHING`.

    Where none was scored, as with private test users, all that the task has.
    """
    found = [summary for summary in summaries if summary is not None and get_path(summary, "task")]
    if not found:
        return NOTHING
    task: dict[str, Any] = get_path(found[0], "task")
    headline = task["headline"]
    words = {name: text for summary in found for name, text in get_path(summary, "task", "targets").items()}
    scored = [name for name in words if any(get_path(summary, "metrics", "test", name) for summary in found)]
    ordered = sorted(scored or words, key=lambda name: name != headline["target"])
    return Reading(
        targets={name: words[name] for name in ordered},
        target=headline["target"],
        metric=headline["metric"],
        higher_is_better=headline["higher_is_better"],
        ranks=task["ranks"],
    )
