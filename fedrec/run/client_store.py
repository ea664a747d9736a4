"""What clients keep to themselves between rounds: private parameters, their rule's arrays, and the rounds paid for.

It lies in the run's folder `clients/`, because Flower's `context.state` ends with the process: a client must not forget
what it has spent when the simulation is killed and resumed. A file a client would be a million files, so there is a
file a column, and a row a client:

```
charged.u1   bit `round` is set when the client has paid for that round; the row's checksum behind them
rounds.u4    two slots a client: the round after which the slot's parameters were kept, 0 if it holds nothing whole; and
             the checksum of that number and the parameters
private.u1   two slots a client: the bytes of its private parameters, one after the other in the model's order
```

What a client rule keeps (`fedrec.training.rules`) lies in two further columns of the same kind, in `rule/`.

Checksums (CRC-32) tell what a disk damaged from what was written; a row of zeros was never written.

Each is made when first written, and sparse: clients that never took part need no disk. Many processes may write at
once, each its own clients.

Clients write it. Besides them only the evaluation on clients' own users reads it (`fedrec.evaluation.later_items`):
a deployment would leave that to each client.

Rows are read through a memory map and written with `pwrite`, which costs the same: a full disk is then an error that a
round can report, where a store into the map would end the process.

**What is certain.** After `kill -9`: all that was written. A slot is marked empty before its bytes change and gets its
round's number afterwards, so a torn one is never taken for whole. After a power failure: all that `keep` and `charge`
returned from, since each flushes its files once a call, the bytes before their number. A slot that was being written
may then be torn under its old number, which is one that no resume asks for.
"""

import errno
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import RunError
from fedrec.data.interactions import IntArray
from fedrec.run.job import Job
from fedrec.training.rules.base import Adapter, Rule

SUM = 4
"""Bytes of a checksum."""

SLOTS = 2
"""A run goes back by one round at most: what the round in hand left, and what was before it."""


class ClientStore:
    """What every client keeps to itself between rounds.

    Args:
        folder: Where the columns lie; made at the first write.
        clients: How many there are.
        rounds: Last round there can be.
        start: The private parameters before any training, by name; may be empty.

    Raises:
        RunError: If the folder holds columns of another shape.
    """

    def __init__(self, folder: Path, clients: int, rounds: int, start: Mapping[str, Tensor]) -> None:
        self.clients = clients
        self._folder, self._last_round = folder, rounds
        self._start = start
        self._first = self._packed({name: value[None] for name, value in start.items()}, 1)
        self._charged = Column(folder / "charged.u1", clients, rounds // 8 + 1 + SUM)
        self._rounds = Column(folder / "rounds.u4", clients * SLOTS, 2)
        self._private = Column(folder / "private.u1", clients * SLOTS, self._first.shape[1])

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the store of a prepared run."""
        _, start = job.training_context.split(job.training_context.start)
        return cls(job.private / "clients", len(job.prepared.federation), job.experiment.rounds, start)

    def beside(self, name: str, start: Mapping[str, Tensor]) -> Self:
        """Return a store of other arrays of the same clients, in a folder inside this one's.

        Args:
            name: Of the folder.
            start: What each client keeps before its first round, by name; may be empty.

        Raises:
            RunError: If the folder holds columns of another shape.
        """
        return type(self)(self._folder / name, self.clients, self._last_round, start)

    def of_rule(self, rule: Rule, adapter: Adapter) -> Self | None:
        """Return where the arrays lie that the clients' rule keeps; None if it keeps none.

        Args:
            rule: The rule.
            adapter: The parameters that travel, before any training.
        """
        start = rule.kept_start(adapter)
        return self.beside("rule", start) if start else None

    def kept_any(self, clients: Sequence[int], before: int) -> NDArray[np.bool_]:
        """Return which of the clients kept anything after a round before `before`, `[clients]`."""
        newest: IntArray = self._rounds_before(self._rows(clients), before).max(axis=1)
        return newest > 0

    def recall(self, clients: Sequence[int], before: int) -> dict[str, Tensor]:
        """Return the clients' private parameters as they were after the newest round before `before`.

        Returns:
            Each parameter's values, [clients, *shape], by name; the start's for a client that kept none.

        Raises:
            RunError: If what a client kept is not what was written.
        """
        rows = self._rows(clients)
        rounds = self._rounds_before(rows, before)
        self._require_whole(rows)
        found = np.repeat(self._first, len(rows), axis=0)
        kept = rounds.any(axis=1)
        found[kept] = self._private.read((rows * SLOTS + rounds.argmax(axis=1))[kept])
        return self._unpacked(found)

    def keep(self, clients: Sequence[int], private: Mapping[str, Tensor], round: int) -> None:
        """Keep the clients' private parameters after `round`, in the slot that is not the newest before `round`.

        So a round that is run again starts from the same state. Nothing is written where nothing is private,
        or of no clients.

        Args:
            clients: Each at most once: there is one message a client and round.
            private: Each private parameter's values, [clients, *shape], by name.
            round: Number of the round, from 1.
        """
        if not self._start or not len(clients):
            return
        rows = self._rows(clients)
        slots = rows * SLOTS + self._rounds_before(rows, round).argmin(axis=1)
        packed = self._packed(private, len(rows))
        self._rounds.write(slots, np.zeros((len(slots), 2)))
        self._private.write(slots, packed)
        self._private.flush()
        self._rounds.write(slots, np.stack([np.full(len(slots), round), sums_of(packed, round)], axis=1))
        self._rounds.flush()

    def charge(self, clients: Sequence[int], round: int) -> None:
        """Let the clients pay for `round`; who has paid for it already does not pay twice."""
        rows = self._rows(clients)
        bits = self._paid(rows, round)
        self._charged.write(rows, np.concatenate([bits, sums_of(bits, 0)[:, None].view(np.uint8)], axis=1))
        self._charged.flush()

    def charged(self, clients: Sequence[int], including: int | None = None) -> IntArray:
        """Return how many rounds each client has paid for, counting `including` as if it were paid."""
        rounds: IntArray = np.bitwise_count(self._paid(self._rows(clients), including)).sum(axis=1, dtype=np.int64)
        return rounds

    def _rows(self, clients: Sequence[int]) -> IntArray:
        rows = np.asarray(clients, dtype=np.int64)
        strange = rows[(rows < 0) | (rows >= self.clients)]
        if len(strange):
            message = f"client {strange[0]} is none of this run's {self.clients} (from 0); start as many nodes as that"
            raise RunError(message)
        return rows

    def _rounds_before(self, rows: IntArray, round: int) -> IntArray:
        """Return the round of each client's slots, [rows, SLOTS]; 0 where there is none before `round`."""
        slots = rows[:, None] * SLOTS + np.arange(SLOTS)
        rounds = self._rounds.read(slots.ravel())[:, 0].reshape(slots.shape).astype(np.int64)
        return np.where(rounds < round, rounds, 0)

    def _require_whole(self, rows: IntArray) -> None:
        """Compare both slots of each client with their checksums: a damaged number would make the older one count."""
        slots = (rows[:, None] * SLOTS + np.arange(SLOTS)).ravel()
        rounds, sums = self._rounds.read(slots).T
        written = (rounds > 0) | (sums > 0)
        kept = self._private.read(slots[written])
        found = np.array(
            [zlib.crc32(row.tobytes(), int(at)) for row, at in zip(kept, rounds[written], strict=True)], dtype="u4"
        )
        damaged = slots[written][(found != sums[written]) | (rounds[written] == 0)]
        if len(damaged):
            self._refuse(int(damaged[0]) // SLOTS)

    def _refuse(self, client: int) -> NoReturn:
        message = (
            f"what client {client} keeps in {self._private.path.parent} is not what was written: the disk damaged it; "
            "start a new run"
        )
        raise RunError(message)

    def _paid(self, rows: IntArray, round: int | None) -> NDArray[np.uint8]:
        """Return the bits of the rounds that each client has paid for, and of `round`."""
        found = self._charged.read(rows)
        bits, sums = found[:, :-SUM], np.ascontiguousarray(found[:, -SUM:]).view("u4")[:, 0]
        damaged = rows[(sums != sums_of(bits, 0)) & found.any(axis=1)]
        if len(damaged):
            self._refuse(int(damaged[0]))
        if round is not None:
            bits[:, round // 8] |= 1 << round % 8
        return bits

    def _packed(self, values: Mapping[str, Tensor], rows: int) -> NDArray[np.uint8]:
        """Return the bytes of the values, [rows, bytes of a client]."""
        flat = [
            values[name].detach().to("cpu", first.dtype).reshape(rows, first.numel()).contiguous().view(torch.uint8)
            for name, first in self._start.items()
        ]
        return torch.cat(flat, dim=1).numpy() if flat else np.zeros((rows, 0), np.uint8)

    def _unpacked(self, data: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Return the values whose bytes these are."""
        sizes = [first.nbytes for first in self._start.values()]
        parts = np.split(data, np.cumsum(sizes, dtype=np.int64), axis=1)
        # A tensor made from an array of no rows has no strides, so its bytes could not be seen as another type.
        copies = [torch.empty(part.shape, dtype=torch.uint8).copy_(torch.from_numpy(part)) for part in parts[:-1]]
        return {
            name: copy.view(first.dtype).reshape(len(data), *first.shape)
            for (name, first), copy in zip(self._start.items(), copies, strict=True)
        }


def sums_of(rows: NDArray[np.uint8], start: int) -> NDArray[np.uint32]:
    """Return the checksum of each row, [rows], begun with a number: what is stored beside it and must not change."""
    return np.array([zlib.crc32(row.tobytes(), start) for row in rows], dtype="u4")


class Column:
    """Rows of fixed width in one sparse file, zero until written; cost goes with the rows asked for.

    Args:
        path: The file, its type of number as suffix; made at the first write.
        rows: How many there are.
        width: Numbers in a row.

    Raises:
        RunError: If the file is there and has another size.
    """

    def __init__(self, path: Path, rows: int, width: int) -> None:
        self.path = path
        self.shape = (rows, width)
        self.dtype = np.dtype(path.suffix.removeprefix("."))
        self._map = self._mapped()

    def read(self, rows: IntArray) -> NDArray[Any]:
        """Return a copy of the rows, [len(rows), width]."""
        if self._map is None:
            self._map = self._mapped()
        return np.zeros((len(rows), self.shape[1]), self.dtype) if self._map is None else self._map[rows]

    def write(self, rows: IntArray, values: NDArray[Any]) -> None:
        """Write the rows, [len(rows), width].

        Raises:
            OSError: If the disk is full.
        """
        data = np.ascontiguousarray(values, self.dtype)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        with self.path.open("r+b", buffering=0) as file:
            if not os.fstat(file.fileno()).st_size:
                file.truncate(self._size)
            places = (rows * self._row_bytes).tolist()
            written = sum(os.pwrite(file.fileno(), row, place) for row, place in zip(data, places, strict=True))
        if written < data.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def flush(self) -> None:
        """Return when all that was written is on disk."""
        with self.path.open("rb") as file:
            os.fdatasync(file.fileno())

    @property
    def _row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    @property
    def _size(self) -> int:
        return self.shape[0] * self._row_bytes

    def _mapped(self) -> NDArray[Any] | None:
        """Return the rows on disk; None before any process wrote one (a file without bytes is just being made)."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if not size:
            return None
        if size != self._size:
            rows, width = self.shape
            message = (
                f"{self.path} has {size:,} bytes, but {rows:,} rows of {width:,} {self.dtype.name} have "
                f"{self._size:,}; other clients wrote it: start a new run with another --out"
            )
            raise RunError(message)
        return np.memmap(self.path, self.dtype, "r", shape=self.shape)
