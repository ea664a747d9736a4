"""The cleaning that every data set goes through, whatever its source; each rule is counted.

Order: rows below the least value, then repeated (user, item) pairs, then users with too few rows. A repeat
is thus judged among the rows that count. Names of the counts in `Dataset.cleaning`:
`below_min_value_rows`, `repeated_pair_rows`, `users_without_rows`, `users_with_few_rows`,
`rows_of_users_with_few_rows`, `items_without_text` (loaders add `unknown_item_rows`,
`users_without_attributes`, `repeated_item_rows` and `repeated_user_rows`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.columns import bounds_of
from fedrec.data.interactions import Catalogue, Dataset, IntArray, Interactions, Users

USERS_AT_ONCE = 10_000
"""Repeats are looked for among so many users at a time: a sort of all rows of a large table would not fit."""


def clean(dataset: Dataset, min_value: float | None = None, min_interactions: int = 1) -> Dataset:
    """Return the data set with the rules applied and its users re-indexed.

    Args:
        dataset: As loaded.
        min_value: Keep only rows with at least this value; all if None.
        min_interactions: Users with fewer rows left than this, at least 1, are taken out with their rows.

    Returns:
        A data set whose users all have at least `min_interactions` distinct items; the catalogue keeps all
        its items, none without text.

    Raises:
        DataError: If no row is left; the message tells what each rule removed.
    """
    rows = dataset.interactions
    valued = np.ones(len(rows), bool) if min_value is None else rows.value >= np.float32(min_value)
    first, counts = _first_of_pairs(rows, valued)
    kept = counts >= max(min_interactions, 1)
    stays = first & np.repeat(kept, np.diff(rows.bounds))
    catalogue, filled = fill_missing_texts(dataset.catalogue)
    removed = {
        "below_min_value_rows": np.sum(~valued),
        "repeated_pair_rows": np.sum(valued & ~first),
        "users_without_rows": np.sum(counts == 0),
        "users_with_few_rows": np.sum(~kept & (counts > 0)),
        "rows_of_users_with_few_rows": np.sum(first & ~stays),
        "items_without_text": filled,
    }
    return replace(
        dataset,
        interactions=rows if stays.all() and kept.all() else _take(rows, stays, counts[kept]),
        catalogue=catalogue,
        users=_take_users(dataset.users, np.flatnonzero(kept)),
        cleaning=dataset.cleaning | {rule: int(count) for rule, count in removed.items() if count},
    )


def fill_missing_texts(catalogue: Catalogue) -> tuple[Catalogue, int]:
    """Give items without text their title, or else their identifier; return how many needed it."""
    missing = sum(not text.strip() for text in catalogue.texts)
    titles = [title.strip() or item for title, item in zip(catalogue.titles, catalogue.ids, strict=True)]
    texts = [text if text.strip() else title for text, title in zip(catalogue.texts, titles, strict=True)]
    return replace(catalogue, texts=texts, titles=titles), missing


def _first_of_pairs(rows: Interactions, among: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], IntArray]:
    """Mark the earliest row of each (user, item) pair among the marked rows, `[rows]`; count each user's, `[users]`."""
    first = np.zeros(len(rows), dtype=bool)
    counts = np.zeros(rows.num_users, dtype=np.int64)
    for start in range(0, rows.num_users, USERS_AT_ONCE):
        bounds = rows.bounds[start : start + USERS_AT_ONCE + 1]
        block = slice(bounds[0], bounds[-1])
        user = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        candidates = np.flatnonzero(among[block])
        pairs = user[candidates] * rows.num_items + rows.item[block][candidates]
        earliest = candidates[np.unique(pairs, return_index=True)[1]]
        first[block][earliest] = True
        counts[start : start + USERS_AT_ONCE] = np.bincount(user[earliest], minlength=len(bounds) - 1)
    return first, counts


def _take(rows: Interactions, stays: NDArray[np.bool_], lengths: IntArray) -> Interactions:
    """Keep rows, of users who have so many of them each."""
    return Interactions(bounds_of(lengths), rows.item[stays], rows.time[stays], rows.value[stays], rows.num_items)


def _take_users(users: Users, kept: IntArray) -> Users:
    if len(kept) == len(users):
        return users
    attributes: dict[str, Sequence[str]] = {
        name: [values[index] for index in kept] for name, values in users.attributes.items()
    }
    return Users([users.ids[index] for index in kept], attributes)
