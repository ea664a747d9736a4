"""Periods of time for people."""

from collections.abc import Mapping
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
    mean, low, high = (number(same["difference"][key]) for key in ("mean", "low", "high"))
    return (
        f"{same['users']} users are in both periods: from before to after {mean:+.3f} [{low:+.3f}, {high:+.3f}], "
        f"p {p_text(number(same['p_value']))}."
    )


def _interval(score: Mapping[str, Any]) -> str:
    mean, low, high = (number(score[key]) for key in ("mean", "low", "high"))
    return f"{score_text(mean)} [{score_text(low)}, {score_text(high)}]"
