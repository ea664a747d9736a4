"""Who touched what, when: the columnar table that everything else is cut from.

Users and items are dense indices; the identifiers of the source live in `Users` and `Catalogue`. Rows
are sorted by user, then time, then file order, so a user's history is a slice. Whose a row is follows from the
bounds of these slices alone, so a column may lie on disk: looking at one user reads that user's rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import DataError
from fedrec.data.columns import bounds_of

IntArray = NDArray[np.int64]

Order = Literal["time", "file"]
"""What a user's rows are ordered by: their times, or, where there are none, their places in the file."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Rows (user, item, time, value), sorted by user and time.

    Attributes:
        bounds: Row offsets, `[num_users + 1]`: user `u` owns rows `bounds[u]:bounds[u + 1]`.
        item: Item index of each row, in `[0, num_items)`.
        time: Seconds since the epoch, or any order-preserving integer where the source has no clock.
        value: Rating or weight of each row; 1 where the source has none.
        num_items: Number of items, those without rows included.
    """

    bounds: IntArray
    item: IntArray
    time: IntArray
    value: NDArray[np.float32]
    num_items: int

    @classmethod
    def from_rows(  # noqa: PLR0913, PLR0917 - one argument a column
        cls,
        user: IntArray,
        item: IntArray,
        time: IntArray,
        value: NDArray[np.float32],
        num_users: int,
        num_items: int,
    ) -> "Interactions":
        """Sort rows by user and time; ties keep their file order."""
        order = np.lexsort((np.arange(len(user)), time, user))
        bounds = bounds_of(np.bincount(user, minlength=num_users))
        return cls(bounds, item[order], time[order], value[order], num_items)

    def __len__(self) -> int:
        return len(self.item)

    @property
    def num_users(self) -> int:
        """Number of users, those without rows included."""
        return len(self.bounds) - 1

    @cached_property
    def user(self) -> IntArray:
        """User index of each row, in `[0, num_users)`, ascending: a column as long as the table."""
        return np.repeat(np.arange(self.num_users), np.diff(self.bounds))

    def lengths_of(self, users: IntArray) -> IntArray:
        """Return how many rows each of `users` has, `[users]`; reads none of them."""
        return self.bounds[users + 1] - self.bounds[users]

    def items_of(self, user: int) -> IntArray:
        """Return the user's items in time order; empty for a user without rows."""
        return self.item[self.bounds[user] : self.bounds[user + 1]]

    def values_of(self, user: int) -> NDArray[np.float32]:
        """Return the values of the user's rows in time order; empty for a user without rows."""
        return self.value[self.bounds[user] : self.bounds[user + 1]]

    def places_between(self, user: int, start: float, end: float) -> tuple[int, int]:
        """Return which of a user's rows are from `start` on and before `end`: first place, and place after the last."""
        own = self.time[self.bounds[user] : self.bounds[user + 1]]
        first, behind = np.searchsorted(own, (start, end))
        return int(first), int(behind)

    def of_users(self, users: IntArray) -> "Interactions":
        """Return the rows of `users` only; indices and counts stay those of the whole."""
        return self.where(self.are_of(users))

    def are_of(self, users: IntArray) -> NDArray[np.bool_]:
        """Return which rows are of `users`, `[rows]`."""
        chosen = np.zeros(self.num_users, dtype=bool)
        chosen[users] = True
        return np.repeat(chosen, np.diff(self.bounds))

    def where(self, keep: NDArray[np.bool_]) -> "Interactions":
        """Return the chosen rows only, `[rows]`; indices and counts stay those of the whole."""
        bounds = bounds_of(keep.astype(np.int64))[self.bounds]
        return Interactions(bounds, self.item[keep], self.time[keep], self.value[keep], self.num_items)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items: public knowledge.

    Attributes:
        ids: Identifier of each item in its source.
        texts: What a language model reads of each item; never empty (see `fill_missing_texts`).
        titles: A short name of each item for people.
        attributes: Further columns (for example `genres`, `year`), one string per item.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    titles: Sequence[str]
    attributes: dict[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Users:
    """The users and what is known of them, for fairness groups.

    Attributes:
        ids: Identifier of each user in its source.
        attributes: Columns such as `gender` or `age`, one string per user; "" where unknown.
    """

    ids: Sequence[str]
    attributes: dict[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set as loaded, with the account of its cleaning.

    Attributes:
        name: Name in the registry, or the file's stem.
        interactions: All rows.
        catalogue: All items.
        users: All users.
        cleaning: Rule -> how often it applied (only rules that did).
        terms: The data's terms of use, one line.
        source: Where the bytes came from.
        order: What a user's rows are ordered by.
    """

    name: str
    interactions: Interactions
    catalogue: Catalogue
    users: Users
    cleaning: dict[str, int] = field(default_factory=dict)
    terms: str = ""
    source: str = ""
    order: Order = "time"

    def __post_init__(self) -> None:
        if len(self.interactions) == 0:
            message = (
                f"data set {self.name!r} has no usable interaction; cleaning removed: {self.cleaning or 'nothing'}"
            )
            raise DataError(message)
