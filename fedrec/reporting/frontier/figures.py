"""The frontier's charts: a score against epsilon on a logarithmic axis, with infinity at its right end."""

import math
from collections.abc import Sequence
from html import escape

from plotly import graph_objects

from fedrec.evaluation.statistics.significance import Interval
from fedrec.reporting.frontier.points import Curve, Measure, references, targets_of
from fedrec.reporting.reading import Reading
from fedrec.reporting.run.figures import FEDERATED, QUIET, SECOND, Chart, chart_of
from fedrec.reporting.wording import metric_label

PALETTE = (FEDERATED, SECOND, "#2a9d6f", "#b8479b", "#8a6fd1", "#c2483f", "#3fa7b5", "#8b8b2f")
"""Mid-tones that read on white and on near-black."""

BEYOND = 3.0
"""Infinity is drawn this many times the largest finite epsilon to the right."""

APART = 1.03
"""Ticks nearer than this factor would be written over one another."""

DASHES = ("dash", "dot", "dashdot", "longdash")

Line = tuple[str, Sequence[tuple[float, Interval]]]
"""A curve's name, and its epsilons with what was measured there."""


def frontier_charts(curves: Sequence[Curve], metric: str) -> list[Chart]:
    """Return a chart for each target: every setting's curve, and what it is measured against as lines."""
    return [
        against_epsilon(
            f"{metric_label(metric)} against epsilon, {words}",
            f"Mean of {metric_label(metric)} on {words} of the test users, with 95 % intervals over users and what was "
            "repeated; less epsilon is more privacy. Broken lines are what the curves are measured against.",
            [
                (
                    curve.label or "Federated",
                    [(at.epsilon, at.estimate(Measure(target, metric)).interval) for at in curve.points],
                )
                for curve in curves
            ],
            references(curves, target, metric),
            metric_label(metric),
        )
        for target, words in targets_of(curves).items()
    ]


def group_frontiers(curve: Curve, groups: dict[str, list[str]], read: Reading) -> list[Chart]:
    """Return a chart for each attribute of the users: a curve for each of its groups, of one setting."""
    charts = []
    for attribute, names in groups.items():
        lines: list[Line] = []
        for name in names:
            of_group = Measure(read.target, read.metric, group=(attribute, name))
            lines.append((name, [(point.epsilon, point.estimate(of_group).interval) for point in curve.points]))
        title = f"By {attribute}" + (f", {curve.label}" if curve.label else "")
        caption = (
            f"Mean of {metric_label(read.metric)} on {read.targets[read.target]} over each group's test users, with "
            "95 % intervals over users and what was repeated; groups too small to compare are left out."
        )
        charts.append(against_epsilon(title, caption, lines, [], metric_label(read.metric)))
    return charts


def against_epsilon(
    title: str, caption: str, lines: Sequence[Line], levels: Sequence[tuple[str, float]], label: str
) -> Chart:
    """Return a chart of lines over epsilon, and of level lines across it; what is nan is left out."""
    finite = sorted({at for _, points in lines for at, _ in points if math.isfinite(at)})
    place = infinity_at(finite)
    figure = graph_objects.Figure()
    for number, (name, points) in enumerate(lines):
        shown = [(at if math.isfinite(at) else place, found) for at, found in points if not math.isnan(found.mean)]
        figure.add_scatter(
            x=[at for at, _ in shown],
            y=[found.mean for _, found in shown],
            error_y={
                "type": "data",
                "array": [_half(found.high - found.mean) for _, found in shown],
                "arrayminus": [_half(found.mean - found.low) for _, found in shown],
                "thickness": 1.5,
            },
            mode="lines+markers",
            name=escape(name, quote=False),
            line={"color": PALETTE[number % len(PALETTE)]},
        )
    ends = [min([*finite, place]) / 1.3, place * 1.3]
    for number, (name, value) in enumerate(levels):
        figure.add_scatter(
            x=ends,
            y=[value, value],
            mode="lines",
            name=escape(name, quote=False),
            line={"color": QUIET, "dash": DASHES[number % len(DASHES)], "width": 1.5},
        )
    figure.update_xaxes(
        type="log",
        title="epsilon",
        range=[math.log10(end) for end in ends],
        tickvals=[*(ticks := readable(finite)), place],
        ticktext=[*(f"{at:.3g}" for at in ticks), "∞"],
    )
    figure.update_yaxes(title=label, rangemode="tozero")
    return chart_of(title, caption, figure, 360)


def readable(finite: Sequence[float]) -> list[float]:
    """Return the ascending epsilons that get a tick: none that lies on another, as claims of one target do."""
    ticks: list[float] = []
    for at in finite:
        if not ticks or at > APART * ticks[-1]:
            ticks.append(at)
    return ticks


def infinity_at(finite: Sequence[float]) -> float:
    """Return where infinity is drawn: beyond the largest of the finite epsilons, or at 1 if there is none."""
    return BEYOND * max(finite) if finite else 1.0


def _half(width: float) -> float:
    """Return one side of an interval; no side where a single value cannot give any."""
    return 0.0 if math.isnan(width) else width
