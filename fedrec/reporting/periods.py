"""Periods of time for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedrec.evaluation.periods import AFTER, BEFORE
from fedrec.reporting.wording import number, p_text, score_text


def period_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return a row a period of what `fedrec periods` found: its name, its users, and the headline with its interval."""
    rows = []
    for name in (BEFORE, AFTER):
        of = found["periods"].get(name)
        rows.append([name, "0", ""] if of is None else [name, f"{of['users']:,}", _interval(of["score"])])
    return rows


def same_users_text(found: Mapping[str, Any]) -> str:
    """Return what those users gain who are in both periods, as a sentence."""
    same = found["same_users"]
    if not same["users"]:
        return "No user has two interactions in both periods."
    return (
        f"{same['users']} users are in both periods: from before to after {_difference(same['difference'])}, "
        f"p {p_text(number(same['p_value']))}."
    )


def _interval(score: Mapping[str, Any]) -> str:
    mean, low, high = (number(score[key]) for key in ("mean", "low", "high"))
    return f"{score_text(mean)} [{score_text(low)}, {score_text(high)}]"


def replay_rows(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a row a window of a replay; empty cells where nobody was judged."""
    return [
        [
            str(line["window"]),
            f"{line['users']:,}",
            f"{line['newcomers']:,}",
            *(_interval(line[name]) if name in line else "" for name in ("updated", "frozen", "popularity")),
            _difference(line["difference"]) if "difference" in line else "",
            p_text(number(line["p_value"])) if "p_value" in line else "",
        ]
        for line in lines
    ]


def _difference(found: Mapping[str, Any]) -> str:
    mean, low, high = (number(found[key]) for key in ("mean", "low", "high"))
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
