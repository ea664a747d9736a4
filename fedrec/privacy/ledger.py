"""Who was charged for what: one ledger for the whole run, saved in every checkpoint.

A charge is written when the work is sent, so that a reply lost after someone saw it is paid for. Charging the same
(round, client, release) again changes nothing, because a resumed round repeats the same named draws and with them
the same noise: nothing new is released. Under central trust that needs a round's model to be in a checkpoint before
anyone gets it, because the same noise on the sum of other replies would be a second release.

Rounds are kept as bits, a row a client that has paid: merging, counting and comparing stay cheap for a million clients.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import PrivacyError, RunError
from fedrec.data.interactions import IntArray
from fedrec.privacy.accounting.prices import Price, Release, epsilon

Client = int | None
"""A client's number, or None for the whole population (central trust, where the cohort stays secret)."""

_EVERYONE = -1
"""The population's number."""

_NOBODY = -2


@dataclass(frozen=True)
class Spent:
    """What the worst client's units and the median's (the upper of two middles) have paid, and the worst's releases."""

    worst: Price
    median: Price
    releases: tuple[Release, ...]


@dataclass(frozen=True, eq=False)
class _Paid:
    """Who paid for one kind of release in which rounds.

    Attributes:
        clients: Their numbers, ascending; `_EVERYONE` for the population.
        bits: Bit `round` of each one's row is set, `[clients, bytes]`.
    """

    clients: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    bits: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), dtype=np.uint8))

    def also(self, clients: IntArray, round: int) -> "_Paid":
        """Return what is paid when `clients` have paid for `round`, too."""
        everyone = np.union1d(self.clients, clients)
        bits = np.zeros((len(everyone), max(self.bits.shape[1], round // 8 + 1)), dtype=np.uint8)
        bits[np.searchsorted(everyone, self.clients), : self.bits.shape[1]] = self.bits
        bits[np.searchsorted(everyone, clients), round // 8] |= 1 << round % 8
        return _Paid(everyone, bits)

    def rounds(self, clients: IntArray) -> IntArray:
        """Return in how many rounds each of `clients` paid: its own and, each for itself, the population's."""
        asked = np.append(clients, _EVERYONE)
        own = np.append(np.bitwise_count(self.bits).sum(axis=1, dtype=np.int64), 0)
        places = np.searchsorted(self.clients, asked)
        found = np.append(self.clients, _NOBODY)[places] == asked
        counts = np.where(found, own[places], 0)
        return counts[:-1] + np.where(clients == _EVERYONE, 0, counts[-1])


@dataclass(frozen=True, eq=False)
class Ledger:
    """Charges so far, by kind of release. Append only, by new values."""

    charges: Mapping[Release, _Paid] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def charge(self, round: int, clients: Iterable[Client], release: Release) -> "Ledger":
        """Return a ledger in which `clients` have also paid for one `release` in `round`.

        Args:
            round: Number of the round, from 0.
            clients: Whose data was used; none changes nothing.
            release: What one round released of one unit's data (`count` local steps), not of the run.
        """
        payers = np.unique(np.array([_number(client) for client in clients], dtype=np.int64))
        if not len(payers):
            return self
        return Ledger({**self.charges, release: self.charges.get(release, _Paid()).also(payers, round)})

    def releases(self, client: Client) -> tuple[Release, ...]:
        """Return everything a unit of `client` went into, the population's charges included; `()` if nothing."""
        return self._composition(self._profiles(np.array([_number(client)]))[0])

    def rounds(self, clients: Sequence[int], release: Release) -> list[int]:
        """Return in how many rounds each of `clients` paid for this kind of release, the population's included."""
        found: list[int] = self.charges.get(release, _Paid()).rounds(np.array(clients, dtype=np.int64)).tolist()
        return found

    def bound(self) -> tuple[Release, ...]:
        """Return a composition that costs no unit less than it paid: of each kind the most of anyone."""
        payers = np.unique(np.concatenate([[_EVERYONE], *(paid.clients for paid in self.charges.values())]))
        return self._composition(self._profiles(payers).max(axis=0))

    def epsilon(self, delta: float, clients: int = 0) -> Spent:
        """Return what has been spent at `delta`.

        Args:
            delta: Chance of failure, in (0, 1).
            clients: Number of clients there are; those never charged alone count for the median. The worst client
                does not depend on it.
        """
        payers = [paid.clients[paid.clients != _EVERYONE] for paid in self.charges.values()]
        charged = np.unique(np.concatenate(payers)) if payers else np.empty(0, dtype=np.int64)
        others = max(clients - len(charged), not len(charged))
        profiles = np.concatenate((self._profiles(charged), self._profiles(np.array([_EVERYONE]))))
        weights = np.append(np.ones(len(charged), dtype=np.int64), others)
        order, starts = _alike(profiles)
        kinds, members = profiles[order][starts], np.add.reduceat(weights[order], starts)
        compositions = [self._composition(kind) for kind in kinds]
        prices = [epsilon(composition, delta) for composition in compositions]
        # More of one kind costs more, so that `kinds`, which is ascending, is in order before any price is rounded.
        rank = np.arange(len(kinds))
        if len(self.charges) > 1:
            rank = np.argsort([price.pld for price in prices], kind="stable")
        rank = rank[members[rank] > 0]
        median = rank[np.searchsorted(np.cumsum(members[rank]), members.sum() // 2, side="right")]
        return Spent(prices[rank[-1]], prices[median], compositions[rank[-1]])

    def to_json(self) -> str:
        """Return the ledger as JSON: who paid for the same rounds together, under these rounds' hexadecimal bit set.

        Sorted, and exact under `from_json`.
        """
        entries = [
            {"release": asdict(release), "rounds": _by_rounds(paid)}
            for release, paid in sorted(self.charges.items(), key=lambda entry: entry[0])
        ]
        return json.dumps({"version": 2, "charges": entries}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Ledger":
        """Return the ledger that `to_json` wrote.

        Raises:
            RunError: If the text is not such a ledger: what was spent must never be guessed.
        """
        try:
            entries = json.loads(text)["charges"]
            return cls({Release(**entry["release"]): _from_rounds(entry["rounds"]) for entry in entries})
        except (PrivacyError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            message = f"the privacy ledger cannot be read ({error}); restore it from an earlier checkpoint"
            raise RunError(message) from error

    def _profiles(self, clients: IntArray) -> IntArray:
        """Return how many rounds of each kind the clients paid for, `[clients, kinds]`."""
        kinds = [paid.rounds(clients) for paid in self.charges.values()]
        return np.stack(kinds, axis=1) if kinds else np.zeros((len(clients), 0), dtype=np.int64)

    def _composition(self, profile: IntArray) -> tuple[Release, ...]:
        kinds = zip(self.charges, profile.tolist(), strict=True)
        return tuple(replace(kind, count=kind.count * rounds) for kind, rounds in kinds if rounds)


def _number(client: Client) -> int:
    return _EVERYONE if client is None else client


def _alike(rows: NDArray[np.integer[Any]]) -> tuple[IntArray, IntArray]:
    """Return an order in which equal rows stand together, ascending, and where each kind of row starts in it."""
    order = np.lexsort(rows.T[::-1]) if rows.shape[1] else np.arange(len(rows))
    changes = (np.diff(rows[order], axis=0) != 0).any(axis=1).nonzero()[0] + 1
    return order, np.concatenate(([0], changes))[: len(rows)]


def _by_rounds(paid: _Paid) -> dict[str, list[int]]:
    order, starts = _alike(np.pad(paid.bits, ((0, 0), (0, -paid.bits.shape[1] % 8))).view("<u8"))
    together = np.split(paid.clients[order], starts[1:])
    return {
        hex(int.from_bytes(paid.bits[order[start]].tobytes(), "little")): clients.tolist()
        for start, clients in zip(starts, together, strict=True)
    }


def _from_rounds(rounds: Mapping[str, list[int]]) -> _Paid:
    width = max((len(bits) // 2 for bits in rounds), default=0)
    patterns = [np.frombuffer(int(bits, 16).to_bytes(width, "little"), dtype=np.uint8) for bits in rounds]
    clients = np.array([client for together in rounds.values() for client in together], dtype=np.int64)
    sizes = [len(together) for together in rounds.values()]
    bits = np.repeat(np.stack(patterns), sizes, axis=0) if patterns else np.empty((0, 0), dtype=np.uint8)
    order = np.argsort(clients, kind="stable")
    if len(np.unique(clients)) < len(clients):
        message = "a client stands twice under one release"
        raise ValueError(message)
    return _Paid(clients[order], bits[order])
