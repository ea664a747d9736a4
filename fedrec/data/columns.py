"""Columns on disk: raw arrays that are opened without being read, and lists without an object an entry.

A table of a hundred million rows opens in a millisecond, because a column is mapped into memory: what is looked at is
read, and nothing else. Processes on one machine share the pages.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from fedrec.core.files import replacing

T_co = TypeVar("T_co", covariant=True)


def write_columns(folder: Path, **columns: NDArray[Any]) -> None:
    """Write each column to `folder/<name>.npy`, each wholly or not at all."""
    for name, column in columns.items():
        with replacing(folder / f"{name}.npy") as file:
            np.save(file, column, allow_pickle=False)


def open_column(folder: Path, name: str) -> NDArray[Any]:
    """Return a column as it lies on disk: read-only, and no row is read before it is looked at."""
    # a plain array over the map, because every slice of numpy's own memmap pays for its bookkeeping
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))


def bounds_of(lengths: Iterable[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where stretches of these lengths begin and end, `[stretches + 1]`: `i` is `bounds[i]:bounds[i + 1]`."""
    counts = lengths if isinstance(lengths, np.ndarray) else np.fromiter(lengths, dtype=np.int64)
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


class _Lazy(Sequence[T_co]):
    """A sequence whose entries are made when they are asked for."""

    @abstractmethod
    def _entry(self, place: int) -> T_co: ...

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...

    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        places = range(len(self))[index]
        return self._entry(places) if isinstance(places, int) else [self._entry(place) for place in places]


@dataclass(frozen=True, eq=False)
class RaggedArray(_Lazy[NDArray[np.int64]]):
    """Arrays of different lengths, end to end in one column.

    Attributes:
        values: All of them, `[values]`.
        bounds: Where each begins and ends (see `bounds_of`), `[arrays + 1]`.
    """

    values: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.int64]]) -> "RaggedArray":
        """Put arrays end to end; there may be none."""
        return cls(np.concatenate((*arrays, np.empty(0, dtype=np.int64))), bounds_of(len(array) for array in arrays))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each array, `[arrays]`."""
        return np.diff(self.bounds)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def _entry(self, place: int) -> NDArray[np.int64]:
        return self.values[self.bounds[place] : self.bounds[place + 1]]


@dataclass(frozen=True, eq=False)
class StringColumn(_Lazy[str]):
    """Strings, end to end in UTF-8 in one column.

    Attributes:
        letters: The bytes of all, `[bytes]`.
        bounds: Where each begins and ends (see `bounds_of`), `[strings + 1]`.
    """

    letters: NDArray[np.uint8]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Iterable[str]) -> "StringColumn":
        """Put strings end to end; there may be none."""
        encoded = [text.encode() for text in strings]
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), bounds_of(len(text) for text in encoded))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def _entry(self, place: int) -> str:
        return self.letters[self.bounds[place] : self.bounds[place + 1]].tobytes().decode()
