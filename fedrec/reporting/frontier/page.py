"""The page of a sweep: one HTML file like a run's report, with the same look, to be read anywhere and offline."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from fedrec.evaluation.statistics.significance import Interval
from fedrec.reporting.frontier.cost import Cost
from fedrec.reporting.frontier.differences import Compared, differences, least_shown, point_name
from fedrec.reporting.frontier.figures import frontier_charts, group_frontiers
from fedrec.reporting.frontier.points import (
    Curve,
    FrontierPoint,
    Measure,
    TrialResult,
    best_of,
    frontier,
    groups_of,
    in_order,
    targets_of,
)
from fedrec.reporting.frontier.template import FRONTIER
from fedrec.reporting.reading import Reading, reading
from fedrec.reporting.wording import DASH, epsilon_text, listed, metric_label, p_text, score_text


def render_frontier(
    name: str, results: Sequence[TrialResult], failures: Sequence[Mapping[str, str]], cost: Cost, asked: str
) -> str:
    """Return the page.

    Args:
        name: Of the sweep.
        results: All its trials; those that are not finished are listed and nothing more.
        failures: `trial` and `message` of each that failed.
        cost: What all of them cost together.
        asked: The sweep as a file.
    """
    read, ordered = reading(*(result.summary for result in results)), in_order(results)
    metric = read.metric
    curves = frontier(ordered)
    templates = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    targets = targets_of(curves)
    groups = groups_of(ordered, read.target)
    compared = differences(curves, read)
    return templates.from_string(FRONTIER).render(
        name=name,
        results=ordered,
        varied=listed(sorted({key for result in ordered for key in result.point})),
        answer=answer(ordered, curves, read),
        failures=failures,
        cost=cost.sentences(),
        charts=frontier_charts(curves, metric) if curves else [],
        rows=[_row(curve, point, read) for curve in curves for point in curve.points],
        compared=[_compared(row, targets) for row in compared],
        shown_differences=least_shown(compared, targets),
        groups=[chart for curve in curves for chart in group_frontiers(curve, groups, read)],
        trials=[_trial(result, read) for result in ordered],
        metric=metric_label(metric),
        target=read.target,
        targets=targets,
        asked=asked,
        plotly=get_plotlyjs(),
    )


def answer(results: Sequence[TrialResult], curves: Sequence[Curve], read: Reading) -> list[str]:
    """Return what was found, a sentence a setting: its scores from the least epsilon to none; then the best."""
    finished = sum(result.summary is not None for result in results)
    sentences = [f"{finished} of {len(results)} trials finished."]
    for curve in curves:
        scores = []
        for point in curve.points:
            found = point.estimate(Measure(read.target, read.metric)).interval
            where = "without privacy" if math.isinf(point.epsilon) else f"at epsilon {epsilon_text(point.epsilon)}"
            scores.append(f"{_cell(found)['mean']} {_cell(found)['interval']} {where}".replace("  ", " "))
        setting = f"With {curve.label}, " if curve.label else ""
        sentences.append(f"{setting}{metric_label(read.metric)} on {read.targets[read.target]} is {', '.join(scores)}.")
    if sum(len(curve.points) for curve in curves) > 1 and (best := best_of(curves, read)) is not None:
        sentences.append(f"The validation users like this best: {point_name(*best)}.")
    if unknown := sum(result.summary is not None and result.judged is None for result in results):
        sentences.append(f"{unknown} of the trials kept no test user's own values, so no interval is over them.")
    return sentences


def _row(curve: Curve, point: FrontierPoint, read: Reading) -> dict[str, Any]:
    found = [point.estimate(Measure(target, read.metric)) for target in read.targets]
    return {
        "setting": curve.label or "Federated",
        "epsilon": "∞" if math.isinf(point.epsilon) else epsilon_text(point.epsilon),
        "counts": [point.splits, point.seeds, max((of.users for of in found), default=0) or DASH],
        "validation": score_text(point.validation(read.target, read.metric)),
        "cells": [_cell(of.interval) for of in found],
    }


def _compared(row: Compared, targets: Iterable[str]) -> dict[str, Any]:
    cells = []
    for target in targets:
        difference = row.by_target.get(target)
        told = {} if difference is None else _cell(difference.found.interval)
        cells.append(
            {"mean": DASH, "interval": "", **told, "p": DASH if difference is None else p_text(difference.p_holm)}
        )
    return {"name": row.name, "against": row.against, "cells": cells}


def _cell(found: Interval) -> dict[str, str]:
    without = math.isnan(found.low + found.high)
    return {"mean": score_text(found.mean), "interval": "" if without else f"[{found.low:.3f}, {found.high:.3f}]"}


def _trial(result: TrialResult, read: Reading) -> dict[str, str]:
    if result.summary is None:
        return {"label": result.label, "folder": "", "epsilon": "not finished", "score": DASH}
    return {
        "label": result.label,
        "folder": result.folder,
        "epsilon": "none" if math.isinf(result.epsilon) else epsilon_text(result.epsilon),
        "score": score_text(Measure(read.target, read.metric).of(result.summary)),
    }
