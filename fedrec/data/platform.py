"""The platforms of a run: several catalogues, each with its own users, side by side in one numbering.

Each platform is loaded, cleaned, split and federated as if it were alone. What comes of it is then joined: the items of
a run are numbered from 0, platform after platform, so that each platform is a contiguous slice of them, and so are the
users. Who is held out of a platform, and who forms its clients, therefore depends on no other platform. With one
platform, joining changes nothing, identifiers included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import DataError
from fedrec.data.columns import RaggedArray, StringColumn, bounds_of, open_column, write_columns
from fedrec.data.federation import Federation
from fedrec.data.interactions import Catalogue, Dataset, IntArray, Interactions, Users
from fedrec.data.split import Split

Stretches = Sequence[tuple[range, range]]
"""For each platform in turn: its items, and the places of what is to be scored among them."""

PLATFORM = "platform"
"""User attribute that tells the platforms apart, where there are several."""


@dataclass(frozen=True, eq=False)
class Platforms:
    """Which items and which users are whose.

    Attributes:
        names: Name of each platform, in the order of their slices; at least one.
        items: Item offsets, `[platforms + 1]`: platform `p` has the items `items[p]` to `items[p + 1] - 1`.
        users: User offsets, `[platforms + 1]`, likewise.
    """

    names: tuple[str, ...]
    items: IntArray
    users: IntArray

    @classmethod
    def of(cls, datasets: Mapping[str, Dataset]) -> "Platforms":
        """Return the slices of data sets by platform name, in their order."""
        sizes = [(len(dataset.catalogue), len(dataset.users)) for dataset in datasets.values()]
        return cls(tuple(datasets), *(bounds_of(counts) for counts in zip(*sizes, strict=True)))

    @classmethod
    def open(cls, folder: Path) -> "Platforms":
        """Return what `write` wrote."""
        names = StringColumn(open_column(folder, "names"), open_column(folder, "name_bounds"))
        return cls(tuple(names), open_column(folder, "items"), open_column(folder, "users"))

    def write(self, folder: Path) -> None:
        """Write the slices as columns, each wholly or not at all."""
        names = StringColumn.of(self.names)
        write_columns(folder, items=self.items, users=self.users, names=names.letters, name_bounds=names.bounds)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def catalogue_sizes(self) -> IntArray:
        """Number of items of each platform, `[platforms]`."""
        return np.diff(self.items)

    def items_of(self, platform: int) -> range:
        """Return the items of a platform."""
        return range(int(self.items[platform]), int(self.items[platform + 1]))

    def of_item(self, item: int) -> int:
        """Return the platform of an item."""
        return int(np.searchsorted(self.items, item, side="right")) - 1

    def of_users(self, users: IntArray) -> IntArray:
        """Return the platform of each user, `[users]`."""
        return np.searchsorted(self.users, users, side="right") - 1

    def stretches(self, users: IntArray, counts: NDArray[Any]) -> "Stretches":
        """Return each platform's items, and where what its users have lies among what all of `users` have.

        Args:
            users: User indices, ascending, `[users]`.
            counts: How many things each of them has, `[users]`; they lie end to end in this order.
        """
        ends = bounds_of(counts)[np.searchsorted(users, self.users)]
        return [
            (self.items_of(platform), range(int(ends[platform]), int(ends[platform + 1])))
            for platform in range(len(self))
        ]

    def of_clients(self, federation: Federation) -> IntArray:
        """Return the platform of each client, `[clients]`: that of its first user, as clients never mix platforms."""
        return self.of_users(federation.users.values[federation.users.bounds[:-1]])


def combine(datasets: Mapping[str, Dataset]) -> Dataset:
    """Return the data sets as one, in the numbering of `Platforms.of`; the data set itself if it is the only one.

    Identifiers of users and items, and the rules of cleaning, get the platform's name in front ("video/196"), users an
    attribute `platform`, and whoever lacks an attribute that others have, has "" there. Rows count as ordered by time
    only if those of every platform are.

    Args:
        datasets: Platform name -> cleaned data set, at least one.

    Raises:
        DataError: If there are several and the users of one have an attribute `platform` of their own.
    """
    if len(datasets) == 1:
        return next(iter(datasets.values()))
    parts = list(datasets.values())
    if wrong := [name for name, part in datasets.items() if PLATFORM in part.users.attributes]:
        message = (
            f"users of platform {wrong[0]!r} have an attribute {PLATFORM!r}, which says in a run of several platforms "
            "where a user is from; give that column another name"
        )
        raise DataError(message)
    catalogues, people = [part.catalogue for part in parts], [part.users for part in parts]
    named = [name for name, part in datasets.items() for _ in range(len(part.users))]
    return Dataset(
        name=" + ".join(dict.fromkeys(part.name for part in parts)),
        interactions=_joined_rows([part.interactions for part in parts]),
        catalogue=Catalogue(
            ids=_prefixed(datasets, catalogues),
            texts=[text for one in catalogues for text in one.texts],
            titles=[title for one in catalogues for title in one.titles],
            attributes=_joined_attributes(catalogues),
        ),
        users=Users(_prefixed(datasets, people), {**_joined_attributes(people), PLATFORM: named}),
        cleaning={f"{name}/{rule}": count for name, part in datasets.items() for rule, count in part.cleaning.items()},
        terms="; ".join(dict.fromkeys(part.terms for part in parts)),
        source="; ".join(dict.fromkeys(part.source for part in parts)),
        order="time" if all(part.order == "time" for part in parts) else "file",
    )


def combine_splits(platforms: Platforms, splits: Sequence[Split]) -> Split:
    """Return each platform's split as one; the split itself if it is the only one."""
    if len(splits) == 1:
        return splits[0]
    groups = {
        group: np.concatenate(
            [getattr(split, group) + first for split, first in zip(splits, platforms.users[:-1], strict=True)]
        )
        for group in ("private", "public", "validation", "test")
    }
    train, held_out = ([getattr(split, rows) for split in splits] for rows in ("train", "held_out"))
    return Split(train=_joined_rows(train), held_out=_joined_rows(held_out), **groups)


def combine_federations(platforms: Platforms, federations: Sequence[Federation]) -> Federation:
    """Return each platform's clients as one federation, the platform's name before theirs; itself if it is alone."""
    if len(federations) == 1:
        return federations[0]
    users = [
        federation.users.values + first for federation, first in zip(federations, platforms.users[:-1], strict=True)
    ]
    sizes = np.concatenate([federation.users.lengths for federation in federations])
    names = (
        f"{platform}/{name}"
        for platform, federation in zip(platforms.names, federations, strict=True)
        for name in federation.names
    )
    return Federation(RaggedArray(np.concatenate(users), bounds_of(sizes)), StringColumn.of(names))


def _joined_rows(tables: Sequence[Interactions]) -> Interactions:
    first_items = bounds_of(table.num_items for table in tables)
    return Interactions(
        bounds=bounds_of(np.concatenate([np.diff(table.bounds) for table in tables])),
        item=np.concatenate([table.item + first for table, first in zip(tables, first_items[:-1], strict=True)]),
        time=np.concatenate([table.time for table in tables]),
        value=np.concatenate([table.value for table in tables]),
        num_items=int(first_items[-1]),
    )


def _prefixed(names: Mapping[str, object], parts: Sequence[Catalogue | Users]) -> list[str]:
    return [f"{name}/{one}" for name, part in zip(names, parts, strict=True) for one in part.ids]


def _joined_attributes(parts: Sequence[Catalogue | Users]) -> dict[str, Sequence[str]]:
    """Return every attribute that any part has, in the order of first appearance."""
    names = dict.fromkeys(name for part in parts for name in part.attributes)
    return {name: [value for part in parts for value in part.attributes.get(name, [""] * len(part))] for name in names}
