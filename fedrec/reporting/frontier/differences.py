"""What a sweep's settings differ by, user by user: each against one of them, and against its own base.

All comparisons of a sweep are corrected together (Holm).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedrec.evaluation.statistics.replicates import Difference, Scored, compare_all
from fedrec.metrics.accuracy import range_of
from fedrec.reporting.frontier.points import Curve, FrontierPoint, Measure, rank_of
from fedrec.reporting.reading import Reading
from fedrec.reporting.run.tables import LABELS
from fedrec.reporting.wording import SHOWN_DIFFERENCES, epsilon_text, least_text, listed

BASE = "base"


@dataclass(frozen=True)
class Compared:
    """One point against something else, target by target.

    Attributes:
        name: Of the point.
        point: The point.
        against: What it is compared with, in words.
        by_target: Target -> the point less the other; without what no user's value is known of.
    """

    name: str
    point: FrontierPoint
    against: str
    by_target: Mapping[str, Difference]


def differences(curves: Sequence[Curve], read: Reading) -> list[Compared]:
    """Return every comparison that the trials allow: each point against the reference, and against its own base.

    Args:
        curves: The points.
        read: By which metric, on which targets.
    """
    named = {point: point_name(curve, point) for curve in curves for point in curve.points}
    if not named:
        return []
    reference = reference_of(list(named))
    asked = [
        (point, against, target, (_scored(point, Measure(target, read.metric)), other))
        for point in named
        for target in read.targets
        for against, other in (
            (named[reference], [] if point is reference else _scored(reference, Measure(target, read.metric))),
            (LABELS[BASE], _scored(point, Measure(target, read.metric, BASE))),
        )
    ]
    found = compare_all([pair for *_, pair in asked], range_of(read.metric))
    rows: dict[tuple[FrontierPoint, str], dict[str, Difference]] = {}
    for (point, against, target, _), difference in zip(asked, found, strict=True):
        if difference.found.users:
            rows.setdefault((point, against), {})[target] = difference
    return [Compared(named[point], point, against, by_target) for (point, against), by_target in rows.items()]


def reference_of(points: Sequence[FrontierPoint]) -> FrontierPoint:
    """Return the point from which the others differ in the fewest keys; of several the first by the values of the keys.

    Of an ablation, where keys are changed one at a time, that is the setting without any change.

    Args:
        points: At least one, in any order.
    """

    def changes(one: FrontierPoint) -> int:
        return sum(one.setting.get(key) != of.setting.get(key) for of in points for key in {*one.setting, *of.setting})

    return min(points, key=lambda point: (changes(point), rank_of(point.setting)))


def point_name(curve: Curve, point: FrontierPoint) -> str:
    """Return a point in words."""
    where = "without privacy" if math.isinf(point.epsilon) else f"at epsilon {epsilon_text(point.epsilon)}"
    return f"{curve.label or 'Federated'} {where}"


def minimal_differences(compared: Iterable[Compared]) -> dict[tuple[FrontierPoint, str], float]:
    """Return by point and target the least true difference that each of the point's comparisons would show."""
    found: dict[tuple[FrontierPoint, str], float] = {}
    for row in compared:
        for target, difference in row.by_target.items():
            least = difference.found.minimal_difference
            found[row.point, target] = max(least, found.get((row.point, target), least))
    return found


def least_shown(compared: Iterable[Compared], targets: Mapping[str, str]) -> str:
    """Return what differences a table of comparisons can show, in a sentence; "" of none."""
    rows = list(compared)
    found = {
        words: least_text(row.by_target[target].found.minimal_difference for row in rows if target in row.by_target)
        for target, words in targets.items()
    }
    told = listed([f"{text} on {words}" for words, text in found.items() if text])
    return f"{SHOWN_DIFFERENCES}: {told}." if told else ""


def _scored(point: FrontierPoint, measure: Measure) -> list[Scored]:
    return [one for result in point.results if (one := measure.scored(result)) is not None]
