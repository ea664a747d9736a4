"""What a sweep's points say, for programs."""

from collections.abc import Sequence
from typing import Any

from fedrec.reporting.frontier.differences import Compared, differences, minimal_differences
from fedrec.reporting.frontier.points import Curve, FrontierPoint, Measure, best_of
from fedrec.reporting.reading import Reading


def frontier_json(curves: Sequence[Curve], read: Reading) -> dict[str, Any]:
    """Return every point with its differences, the one that validation users like best, and what can be told apart.

    Keys: `frontier`, a point an entry; `best`, None where no validation user was asked; `minimal_difference` by target,
    of the comparison that shows the least.

    Args:
        curves: The points.
        read: By which metric, on which targets.
    """
    compared = differences(curves, read)
    shown = minimal_differences(compared)
    best = best_of(curves, read)
    return {
        "frontier": [_point(curve, point, compared, read) for curve in curves for point in curve.points],
        "best": None if best is None else _identity(*best, read),
        "minimal_difference": {
            target: max(found)
            for target in read.targets
            if (found := [least for (_, of), least in shown.items() if of == target])
        },
    }


def _identity(curve: Curve, point: FrontierPoint, read: Reading) -> dict[str, Any]:
    return {
        "setting": curve.label,
        "epsilon": point.epsilon,
        "trials": [result.fingerprint for result in point.results],
        "metric": read.metric,
        "validation": {target: point.validation(target, read.metric) for target in read.targets},
    }


def _point(curve: Curve, point: FrontierPoint, compared: Sequence[Compared], read: Reading) -> dict[str, Any]:
    return {
        **_identity(curve, point, read),
        "splits": point.splits,
        "seeds": point.seeds,
        **{target: point.estimate(Measure(target, read.metric)).to_json() for target in read.targets},
        "differences": [
            {"against": row.against, **{target: found.to_json() for target, found in row.by_target.items()}}
            for row in compared
            if row.point is point
        ],
    }
