"""A table that somebody might bring, made up from a named seed: long histories, tastes, and a text for every item.

For measuring memory, and nothing else: what a recommender reaches on it says nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray

SEED = 0
TASTES = 20
LOYALTY = 4.0
"""How many times as likely an item of the user's own taste is: enough for EASE to beat a client that learns alone."""

COLOURS = ("red", "blue", "green", "dark", "bright", "lost", "young", "last", "cold", "wild")
THINGS = ("river", "house", "moon", "street", "song", "winter", "garden", "door", "horse", "letter")


@dataclass(frozen=True)
class Size:
    """How large the table is; each user has at least 5 rows, so there are at least 5 times as many as users.

    Attributes:
        users: Who touch items.
        items: Catalogue; all are described, few need be touched.
        rows: Interactions, no item twice with a user: about `rows / users` of each, with a long tail.
    """

    users: int
    items: int
    rows: int


def write_table(folder: Path, size: Size) -> dict[str, Any]:
    """Write `rows.csv` and `items.csv`, and return the section `data` of an experiment that reads them.

    Args:
        folder: Must exist.
        size: How large.
    """
    rng = rng_for(SEED, "memory table", size.users, size.items, size.rows)
    histories = _histories(size, rng)
    rows = {"user": np.repeat(np.arange(size.users), [len(history) for history in histories])}
    rows |= {"item": np.concatenate(histories), "time": np.arange(len(rows["user"]))}
    pl.DataFrame(rows).write_csv(folder / "rows.csv")
    words = rng.choice(COLOURS, size.items).astype(object) + " " + rng.choice(THINGS, size.items).astype(object)
    items = {"id": np.arange(size.items), "title": [f"the {name} {number}" for number, name in enumerate(words)]}
    pl.DataFrame(items).write_csv(folder / "items.csv")
    columns = {"time": "time", "items_path": folder / "items.csv", "text": ["title"]}
    return {"name": "table", "path": folder / "rows.csv", "table": columns}


def _histories(size: Size, rng: np.random.Generator) -> list[IntArray]:
    popularity = 1 / np.arange(1, size.items + 1) ** 0.8
    taste_of_item = rng.integers(TASTES, size=size.items)
    chances = popularity * np.where(taste_of_item == np.arange(TASTES)[:, None], LOYALTY * TASTES, 1.0)
    chances /= chances.sum(axis=1, keepdims=True)
    tastes = rng.integers(TASTES, size=size.users)
    return [
        rng.choice(size.items, length, replace=False, p=chances[taste])
        for taste, length in zip(tastes, _lengths(size, rng), strict=True)
    ]


def _lengths(size: Size, rng: np.random.Generator) -> IntArray:
    """Return the rows of each user, `[users]`: log-normal, at least 5 and at most half of the items."""
    drawn = rng.lognormal(0.0, 0.9, size.users)
    free = size.rows - 5 * size.users
    lengths: IntArray = 5 + np.minimum(np.floor(free * drawn / drawn.sum()).astype(np.int64), size.items // 2 - 5)
    lengths[np.argsort(lengths)[: size.rows - int(lengths.sum())]] += 1
    return lengths
