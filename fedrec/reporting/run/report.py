"""The report of a run: one HTML file that reads anywhere, offline, for as long as there are browsers.

Everything is inlined, plotly.js too, and the page forbids itself to load anything (Content-Security-Policy). The
template escapes whatever comes from data.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from plotly.offline import get_plotlyjs

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.reporting.reading import Reading, reading
from fedrec.reporting.run.figures import controls_chart, curves, group_charts, tradeoff_chart
from fedrec.reporting.run.page import PAGE
from fedrec.reporting.run.tables import (
    control_rows,
    headline,
    later_rows,
    metric_rows,
    shown_differences,
    through_noise,
)
from fedrec.reporting.wording import (
    DASH,
    bytes_text,
    count_text,
    epsilon_text,
    get_path,
    listed,
    metric_label,
    number,
    p_text,
    score_text,
)
from fedrec.run.directory import METRICS, REPORT, SUMMARY, RunDirectory

BYTES_PER_PARAMETER = 4
"""Parameters travel as 32-bit floats."""

Pairs = list[tuple[str, str]]


def render_report(folder: Path) -> Path:
    """Write both pages of a finished run, each wholly or not at all.

    `public/report.html` is made from the files beside it alone, so it tells what a deployment could publish;
    `private/report.html` has all of it, with what only a simulation sees apart and labelled.

    Args:
        folder: A run directory with its summaries.

    Returns:
        The path of the page with everything.

    Raises:
        RunError: If there is no run, it is not finished, or its files were damaged.
    """
    run = RunDirectory(folder)
    run.summary()  # finished and as it was written, or an error
    for place in (run.public, run.private):
        _render(run, place)
    return run.report


def _render(run: RunDirectory, place: Path) -> None:
    """Write the page of one part of a run from that part's files."""
    try:
        summary = json.loads((place / SUMMARY).read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (place / METRICS).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        message = f"{SUMMARY} or {METRICS} in {place} cannot be read ({error}); `fedrec run` the experiment anew"
        raise RunError(message) from error
    templates = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"score": score_text, "p": p_text, "bytes": bytes_text, "metric": metric_label}
    page = templates.from_string(PAGE).render(
        _content(summary, lines),
        simulation=place == run.private,
        experiment=(run.path / "experiment.toml").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
    )
    write_whole(place / REPORT, page)


def pairs(value: Mapping[str, Any], inside: str = "") -> Pairs:
    """Return nested JSON as rows of name and text: `{"a_b": {"c": 1}}` is `[("a b: c", "1")]`.

    An empty mapping has no rows, within another it is "none"; so is an empty list.
    """
    rows: Pairs = []
    for key, entry in value.items():
        name = f"{inside}{key.replace('_', ' ')}"
        if isinstance(entry, Mapping) and entry:
            rows += pairs(entry, f"{name}: ")
        else:
            rows.append((name, _text(entry)))
    return rows


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value) or "none"
    if value is None or value is True or value is False:
        return {None: DASH, True: "yes", False: "no"}[value]
    if isinstance(value, int | float):
        return DASH if math.isnan(value) else f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    return str(value) if value != {} else "none"


def _content(summary: Mapping[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    read, rows = reading(summary), control_rows(summary)
    metric, targets = read.metric, read.targets
    fairness = get_path(summary, "groups", read.target)
    privacy = get_path(summary, "privacy")
    return {
        "summary": summary,
        "headline": headline(summary),
        "tiles": _tiles(summary, read),
        "metric": metric,
        "targets": targets,
        "worst_on": targets.get(read.target, ""),
        "rows": rows,
        "controls_chart": controls_chart(rows, read),
        "later": later_rows(summary),
        "later_clients": _later_clients(get_path(summary, "later_items")),
        "shown_differences": shown_differences(summary),
        "all_metrics": {words: metric_rows(summary, target) for target, words in targets.items()},
        "privacy": pairs(
            {key: value for key, value in privacy.items() if key not in {"statement", "parts", "curve", "releases"}}
        ),
        "parts": get_path(privacy, "parts"),
        "tradeoff": tradeoff_chart(privacy),
        "unpublished": "" if get_path(summary, "metrics", "test") else " ".join(through_noise(summary)),
        "noise": _noise(privacy, metric),
        "curves": curves(lines, read),
        "rounds": [_round(line, metric, targets) for line in lines],
        "group_charts": group_charts(fairness, metric),
        "groups": [
            (name, number(get_path(of, "gaps", metric)), of.get("unknown", 0))
            for name, of in get_path(fairness, "groups").items()
        ],
        "worst_decile": number(get_path(fairness, "worst_decile", metric)),
        "missing_groups": list(get_path(fairness, "missing")),
        "round_columns": ["Round", "Loss", *(f"{metric_label(metric)}, {of}" for of in targets.values()), "Epsilon"],
        "asked": [_asked(line) for line in lines],
        "traffic": _traffic(summary),
        "data": _data(summary),
        "unseen": _unseen(summary),
        "repeats": get_path(summary, "privacy", "noise_key") != "fresh",
        "environment": [(name, _text(value)) for name, value in get_path(summary, "environment").items()],
        "timing": [
            (name, f"{number(seconds):,.{1 if number(seconds) >= 1 else 3}f} s")
            for name, seconds in get_path(summary, "timing").items()
        ],
    }


def _tiles(summary: Mapping[str, Any], read: Reading) -> Pairs:
    own = control_rows(summary)[0]
    scores = [
        (f"{metric_label(read.metric)} on {read.targets[target]}", score_text(cell.value))
        for target, cell in own.cells.items()
    ]
    upload = bytes_text(get_path(summary, "communication", "upload_bytes_per_client_round"))
    epsilon = epsilon_text(get_path(summary, "privacy", "epsilon"))
    return [*scores, ("epsilon promised", epsilon), ("sent by a client per round", upload)]


def _round(line: Mapping[str, Any], metric: str, targets: Iterable[str]) -> list[str]:
    scores = [score_text(number(get_path(line, "validation", target, metric))) for target in targets]
    return [str(line["round"]), score_text(number(line.get("loss"))), *scores, epsilon_text(line.get("epsilon"))]


def _noise(privacy: Mapping[str, Any], metric: str) -> str:
    """Return the noise on what the curves show of private validation users; nothing where they volunteered."""
    deviation = get_path(privacy, "validation", "deviation")
    shown = [name for name in ("loss", "loss_change", metric, "rank_counts") if name in deviation]
    return listed([f"{number(deviation[name]):.3g} ({metric_label(name)})" for name in shown]) if shown else ""


def _asked(line: Mapping[str, Any]) -> list[str]:
    """Return who was asked and answered in a round: what only a simulation sees of it."""
    rejected = sum(get_path(line, "rejected").values())
    counts = [_text(line.get(key)) for key in ("cohort", "replies")]
    sent = [bytes_text(line.get(key)) for key in ("upload_bytes", "download_bytes")]
    return [str(line["round"]), *counts, str(rejected), *sent]


def _later_clients(later: Mapping[str, Any]) -> str:
    """Return in words whose users were asked of their own later items; nothing where none were."""
    if not later:
        return ""
    asked, able = later["clients"], later["of_clients"]
    users = get_path(later, "recommenders", later["against"], "metrics")["users"]
    drawn = "" if asked == able else f", drawn from {able:,}"
    return f"{count_text(users, 'user')} of {count_text(asked, 'client')}{drawn}"


def _traffic(summary: Mapping[str, Any]) -> Pairs:
    sent, adapter = get_path(summary, "communication"), get_path(summary, "adapter")
    whole = number(get_path(summary, "model", "parameters")) * BYTES_PER_PARAMETER
    return [
        *(
            [("Encoded by", listed([one["name"] for one in summary["transforms"]]))]
            if summary.get("transforms")
            else []
        ),
        ("Sent by a client in a round", bytes_text(sent.get("upload_bytes_per_client_round"))),
        ("Received by a client in a round", bytes_text(sent.get("download_bytes_per_client_round"))),
        ("The adapter itself", f"{bytes_text(adapter.get('bytes'))} ({_text(adapter.get('parameters'))} parameters)"),
        ("The whole model, for comparison", bytes_text(whole)),
    ]


def _data(summary: Mapping[str, Any]) -> Pairs:
    dataset, federation = dict(get_path(summary, "dataset")), dict(get_path(summary, "federation"))
    for hidden in ("interactions", "cleaning"):
        dataset.pop(hidden, None)
    if "platforms" in dataset:
        dataset["platforms"] = _platforms(dataset["platforms"])
    federation.pop("users_per_client", None)
    return [*pairs(dataset), *pairs({"split": get_path(summary, "split")}), *pairs(federation)]


def _platforms(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return each platform's number of users and items in words; users are left out where their number is private."""
    shown = [noun for noun in ("users", "items") if noun in columns]
    counts = zip(*([f"{count:,} {noun}" for count in columns[noun]] for noun in shown), strict=True)
    return {name: listed(told) for name, told in zip(columns["names"], counts, strict=True)}


def _unseen(summary: Mapping[str, Any]) -> Pairs:
    """Return what of the data and the traffic only a simulation sees."""
    dataset, sent = get_path(summary, "dataset"), get_path(summary, "communication")
    return [
        ("Interactions", _text(dataset.get("interactions"))),
        *pairs({"cleaning": dataset.get("cleaning") or {}}),
        ("Users per client (least, median, most)", _text(get_path(summary, "federation").get("users_per_client"))),
        ("Sent by all clients in the whole run", bytes_text(sent.get("upload_bytes_total"))),
        ("Received by all clients in the whole run", bytes_text(sent.get("download_bytes_total"))),
        *pairs({"filters": get_path(summary, "filter")} if get_path(summary, "filter") else {}),
        *pairs(get_path(summary, "faults")),
    ]
