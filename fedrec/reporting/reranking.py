"""The price of re-ranking for people: a row a weight."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedrec.reporting.wording import number, p_text, score_text


def price_table(found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of one group of users.

    Args:
        found: What `fedrec rerank` found.
        rows: Its "validation" or "test".
    """
    metric, improved = str(found["metric"]), str(found["improves"])
    columns = ["weight", metric, "against weight 0", "p", improved, "against weight 0"]
    return columns, [
        [
            f"{row['weight']:g}",
            score_text(number(row["score"])),
            _difference(row, "price"),
            "" if row["p_value"] is None else p_text(number(row["p_value"])),
            score_text(number(row["improved"])),
            _difference(row, "gain"),
        ]
        for row in rows
    ]


def _difference(row: Mapping[str, Any], name: str) -> str:
    if not row["weight"]:
        return ""
    mean, low, high = (number(row[name][key]) for key in ("mean", "low", "high"))
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
