"""The report's charts, as plotly figures in JSON.

Colours carry the role and are mid-tones that read on white and on near-black; text and grid lines are left to the
page's style sheet, so that the charts follow light, dark and print. plotly reads a little HTML in texts, therefore
words from data are escaped here.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from plotly import graph_objects

from fedrec.evaluation.groups import ACTIVITY, MIN_GROUP
from fedrec.reporting.reading import Reading
from fedrec.reporting.run.tables import Row
from fedrec.reporting.wording import get_path, metric_label, number, score_text

FEDERATED, SECOND, QUIET = "#2f7ed8", "#c9760c", "#838a94"
COLOURS = (FEDERATED, SECOND)
"""Of the targets, the most telling first."""
_ACTIVITY = ("low", "mid", "high")

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """A chart: its title, a sentence on what it shows (also for those who hear the page), plotly's data and layout."""

    title: str
    caption: str
    spec: dict[str, Any]


def curves(lines: Sequence[Line], read: Reading) -> list[Chart]:
    """Return the course of the run: validation loss, the metric, epsilon; each only if any round has a finite value."""
    scores = {
        words: [get_path(line, "validation", target, read.metric) for line in lines]
        for target, words in read.targets.items()
    }
    label = metric_label(read.metric)
    found = [
        _course(
            "Validation loss",
            "Mean loss on the validation users after each round.",
            lines,
            {"loss": _all(lines, "loss")},
        ),
        _course(
            f"Validation {label}", f"{label} on the validation users, on the rounds that were scored.", lines, scores
        ),
        _course("Epsilon spent", "The most exposed unit's epsilon so far.", lines, {"epsilon": _all(lines, "epsilon")}),
    ]
    return [chart for chart in found if chart is not None]


def controls_chart(rows: Sequence[Row], read: Reading) -> Chart | None:
    """Return every recommender's score with its interval, the first row on top; None if nothing was measured."""
    label = metric_label(read.metric)
    figure = graph_objects.Figure()
    for place, (target, words) in enumerate(read.targets.items()):
        shown = [row for row in rows if target in row.cells and not math.isnan(row.cells[target].value)]
        if not shown:
            continue
        cells = [row.cells[target] for row in shown]
        figure.add_scatter(
            x=[cell.value for cell in cells],
            y=[escape(row.label, quote=False) for row in shown],
            error_x={
                "type": "data",
                "array": [cell.high - cell.value for cell in cells],
                "arrayminus": [cell.value - cell.low for cell in cells],
                "thickness": 1.5,
            },
            mode="markers",
            name=escape(words, quote=False),
            marker={
                "color": COLOURS[place % len(COLOURS)],
                "opacity": 1,
                "line": {"width": 0},
                "size": [12 if row.federated else 8 for row in shown],
            },
        )
    if not figure.data:
        return None
    figure.update_yaxes(categoryorder="array", categoryarray=[escape(row.label, quote=False) for row in reversed(rows)])
    figure.update_xaxes(title=label, rangemode="tozero")
    return chart_of(f"Test {label}", f"{label} on the test users, with 95 % intervals.", figure, 130 + 34 * len(rows))


def group_charts(groups: Mapping[str, Any], metric: str) -> list[Chart]:
    """Return a chart for each attribute of `Fairness.to_json()`, with a bar for each group that has the metric."""
    return [chart for name, of in get_path(groups, "groups").items() if (chart := _bars(name, of, metric)) is not None]


def tradeoff_chart(privacy: Mapping[str, Any]) -> Chart | None:
    """Return what a run forces on whoever guesses if a unit's data were used; None where no curve was computed.

    Args:
        privacy: The part of a summary, with `curve` as `fedrec.privacy.accounting.curve` writes it.
    """
    points = get_path(privacy, "curve", "tradeoff")
    if not points:
        return None
    figure = graph_objects.Figure()
    alphas = [number(point["false_positives"]) for point in points]
    betas = [number(point["false_negatives"]) for point in points]
    for name, values, colour in (
        ("this run, at least", betas, FEDERATED),
        ("a coin", [1 - alpha for alpha in alphas], QUIET),
    ):
        figure.add_scatter(x=alphas, y=values, mode="lines", name=name, line={"color": colour, "width": 2})
    figure.update_xaxes(title_text="false positives", range=[0, 1])
    figure.update_yaxes(title_text="false negatives", range=[0, 1])
    caption = (
        "Least share of false negatives for each share of false positives of any guess whether one unit's data were "
        f"used, whatever is seen of the run; mu is {number(get_path(privacy, 'curve', 'mu')):.3g}."
    )
    return chart_of("Trade-off", caption, figure, 300)


def _bars(attribute: str, groups: Mapping[str, Any], metric: str) -> Chart | None:
    sizes = get_path(groups, "sizes")
    means = {name: number(value) for name, value in get_path(groups, "means", metric).items()}
    names = [name for name in means if not math.isnan(means[name])]
    if attribute == ACTIVITY:
        names.sort(key=lambda name: _ACTIVITY.index(name) if name in _ACTIVITY else len(_ACTIVITY))
    if not names:
        return None
    labels = [f"{escape(name, quote=False)} (n {sizes.get(name, '?')})" for name in names]
    figure = graph_objects.Figure()
    figure.add_bar(
        x=[means[name] for name in names],
        y=labels,
        orientation="h",
        marker={"color": [FEDERATED if number(sizes.get(name)) >= MIN_GROUP else QUIET for name in names]},
        text=[score_text(means[name]) for name in names],
        textposition="auto",
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(title=metric_label(metric), rangemode="tozero")
    caption = f"Mean over each group's n test users; grey below {MIN_GROUP} users, where a mean is mostly chance."
    return chart_of(f"By {attribute}", caption, figure, 110 + 30 * len(names))


def _all(lines: Sequence[Line], key: str) -> list[Any]:
    return [line.get(key) for line in lines]


def _course(title: str, caption: str, lines: Sequence[Line], series: Mapping[str, Sequence[Any]]) -> Chart | None:
    figure = graph_objects.Figure()
    for place, (name, values) in enumerate(series.items()):
        points = [
            (line["round"], value)
            for line, raw in zip(lines, values, strict=True)
            if math.isfinite(value := number(raw))
        ]
        if points:
            figure.add_scatter(
                x=[point[0] for point in points],
                y=[point[1] for point in points],
                mode="lines+markers" if len(points) <= 60 else "lines",
                name=escape(name, quote=False),
                line={"color": COLOURS[place % len(COLOURS)]},
            )
    if not figure.data:
        return None
    figure.update_xaxes(title="round")
    return chart_of(title, caption, figure, 280)


def chart_of(title: str, caption: str, figure: graph_objects.Figure, height: int) -> Chart:
    """Return a figure as every page shows it, `height` pixels high."""
    figure.update_xaxes(automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False)
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
        showlegend=len(figure.data) > 1,
    )
    return Chart(title, caption, json.loads(figure.to_json()))
