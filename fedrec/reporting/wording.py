"""Reading a run's JSON, and writing its numbers for people.

JSON knows neither infinity nor nan, so "inf" and null are read for what they mean, and whatever a summary lacks is nan,
shown as a dash. StringColumn are plain: whoever prints them escapes them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedrec.metrics.evaluation import MACRO
from fedrec.privacy.statement.statement import words

Summary = Mapping[str, Any]

DASH = "—"
METRICS = {
    "ndcg": "NDCG",
    "hit_rate": "HR",
    "mrr": "MRR",
    "map": "MAP",
    "rmse": "RMSE",
    "mae": "MAE",
    "auc": "AUC",
    "gauc": "GAUC",
    "ece": "ECE",
}


def number(value: object) -> float:
    """Return a number as it stands in JSON; "inf" is infinity, null and anything else nan."""
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            return math.nan
    return math.nan


def get_path(value: Any, *path: str) -> Any:
    """Return what stands at a path of keys; an empty dict if any is missing or null."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return {} if value is None else value


def metric_label(metric: str) -> str:
    """Return a metric's name for people: "hit_rate@10" is "HR@10", and "macro_" says that platforms count alike."""
    if metric.startswith(MACRO):
        return f"{metric_label(metric.removeprefix(MACRO))}, mean over platforms"
    name, at, cutoff = metric.partition("@")
    return METRICS.get(name, name.replace("_", " ").capitalize()) + at + cutoff


def score_text(value: float) -> str:
    """Return a score with three decimals; a dash for nan."""
    return DASH if math.isnan(value) else f"{value:.3f}"


def p_text(p_value: float) -> str:
    """Return a p-value with three decimals, never a false 0; a dash for nan."""
    if math.isnan(p_value):
        return DASH
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


SHOWN_DIFFERENCES = "A true difference that a comparison here finds four times in five (two-sided 5 %, one at a time)"
"""What `least_text` tells, as the beginning of a sentence."""


def least_text(differences: Iterable[float]) -> str:
    """Return from what difference on something shows, of all comparisons: "0.012 to 0.030"; "" where none is known."""
    known = [difference for difference in differences if not math.isnan(difference)]
    return " to ".join(dict.fromkeys(score_text(end) for end in (min(known), max(known)))) if known else ""


def count_text(value: object, noun: str) -> str:
    """Return "1 client" or "1,682 clients"; "an unrecorded number of clients" if it is not known."""
    known = number(value)
    if not math.isfinite(known):
        return f"an unrecorded number of {noun}s"
    return f"{known:,.0f} {noun}{'' if known == 1 else 's'}"


def bytes_text(value: object) -> str:
    """Return a number of bytes in the largest unit that keeps it at 1 or more: "72.5 kB" is 72,500 bytes."""
    known = number(value)
    if not math.isfinite(known):
        return DASH
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(known) >= size:
            return f"{known / size:.1f} {unit}"
    return f"{known:.0f} B"


def epsilon_text(value: object) -> str:
    """Return an epsilon rounded up to three decimals; "none" if nothing is promised."""
    known = number(value)
    return words(known) if math.isfinite(known) else "none"


def listed(texts: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
