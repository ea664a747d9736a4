"""From named rows to a `Dataset`: identifiers become dense indices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedrec.data.interactions import Catalogue, Dataset, IntArray, Interactions, Users


@dataclass(frozen=True, eq=False)
class Rows:
    """Interactions as their file has them, in file order; all columns `[rows]`.

    Attributes:
        user: Identifier of the user.
        item: Identifier of the item.
        time: Order-preserving integer.
        value: Rating or weight.
    """

    user: pl.Series
    item: pl.Series
    time: IntArray
    value: NDArray[np.float32]


def assemble(name: str, rows: Rows, catalogue: Catalogue, users: Users | None = None) -> Dataset:
    """Return the data set; what had to be left out or added is counted in `Dataset.cleaning`.

    Args:
        name: Name of the data set.
        rows: The interactions; those with an item outside the catalogue are dropped (`unknown_item_rows`).
        catalogue: The items; all of them stay, in this order. Of rows with the same identifier the first
            is kept (`repeated_item_rows`).
        users: The users, in this order, repeats left out likewise (`repeated_user_rows`); users who only
            occur in `rows` follow with empty attributes (`users_without_attributes`). Without it, users are
            those of `rows`: by number if all identifiers are whole numbers, else by first appearance.

    Raises:
        DataError: If no row is left.
    """
    items, repeated_items = _distinct_items(catalogue)
    everyone, repeated_users, added = _everyone(rows.user, users)
    item = index_in(items.ids, rows.item)
    known = item >= 0
    interactions = Interactions.from_rows(
        index_in(everyone.ids, rows.user)[known],
        item[known],
        rows.time[known],
        rows.value[known],
        len(everyone),
        len(items),
    )
    counts = {
        "unknown_item_rows": int(np.sum(~known)),
        "repeated_item_rows": repeated_items,
        "repeated_user_rows": repeated_users,
        "users_without_attributes": added,
    }
    return Dataset(name, interactions, items, everyone, {rule: n for rule, n in counts.items() if n})


def index_in(ids: Sequence[str], wanted: pl.Series) -> IntArray:
    """Return the position in `ids` of each wanted identifier, `[len(wanted)]`; -1 where there is none."""
    known = pl.DataFrame({"id": pl.Series(ids, dtype=pl.String), "index": np.arange(len(ids))})
    found = wanted.to_frame("id").join(known, on="id", how="left", maintain_order="left")
    return found["index"].fill_null(-1).to_numpy()


def order_of(ids: pl.Series) -> pl.Series:
    """Return positions that order identifiers by number if all are whole numbers, and leave them otherwise."""
    numbers = ids.cast(pl.Int64, strict=False)
    return pl.int_range(len(ids), eager=True) if numbers.null_count() else numbers.arg_sort()


def _distinct_items(catalogue: Catalogue) -> tuple[Catalogue, int]:
    """Keep each identifier's first row; return how many others there were."""
    first = _first_rows(catalogue.ids)
    if len(first) == len(catalogue):
        return catalogue, 0
    ids, words, titles = (_pick(column, first) for column in (catalogue.ids, catalogue.texts, catalogue.titles))
    attributes = {name: _pick(values, first) for name, values in catalogue.attributes.items()}
    return Catalogue(ids, words, titles, attributes), len(catalogue) - len(first)


def _everyone(seen: pl.Series, users: Users | None) -> tuple[Users, int, int]:
    """Return all users, how many rows of the users' file repeat one, and how many users it lacks."""
    distinct = seen.unique(maintain_order=True)
    ids = distinct[order_of(distinct)].to_list()
    if users is None:
        return Users(ids), 0, 0
    first, known = _first_rows(users.ids), set(users.ids)
    added = [user for user in ids if user not in known]
    unknown = [""] * len(added)
    attributes: dict[str, Sequence[str]] = {
        name: [*_pick(values, first), *unknown] for name, values in users.attributes.items()
    }
    return Users([*_pick(users.ids, first), *added], attributes), len(users) - len(first), len(added)


def _first_rows(ids: Sequence[str]) -> list[int]:
    return pl.Series(ids, dtype=pl.String).is_first_distinct().arg_true().to_list()


def _pick(values: Sequence[str], rows: list[int]) -> Sequence[str]:
    return [values[row] for row in rows]
