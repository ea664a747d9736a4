"""Who was charged for what: one ledger for the whole run, saved in every checkpoint.

A charge is written when the work is sent, so that a reply lost after someone saw it is paid for. Charging the same
(round, client, release) again changes nothing, because a resumed round repeats the same named draws and with them
the same noise: nothing new is released. Under central trust that needs a round's model to be in a checkpoint before
anyone gets it, because the same noise on the sum of other replies would be a second release.

Rounds are kept as the bits of one integer per client and kind of release, so merging, counting and comparing stay
cheap for 10,000 clients.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from fedrec.errors import PrivacyError, RunError
from fedrec.privacy.accounting import Price, Release, epsilon

Client = int | None
"""A client's number, or None for the whole population (central trust, where the cohort stays secret)."""

_POPULATION = "population"


@dataclass(frozen=True)
class Spent:
    """What the worst client's units and the median's (the upper of two middles) have paid, and the worst's releases."""

    worst: Price
    median: Price
    releases: tuple[Release, ...]


@dataclass(frozen=True)
class Ledger:
    """Charges so far, as release of one round -> client -> bit set of rounds. Append only, by new values."""

    charges: Mapping[Release, Mapping[Client, int]] = field(default_factory=dict)

    def charge(self, round: int, clients: Iterable[Client], release: Release) -> "Ledger":  # noqa: A002
        """Return a ledger in which `clients` have also paid for one `release` in `round`.

        Args:
            round: Number of the round, from 0.
            clients: Whose data was used; none changes nothing.
            release: What one round released of one unit's data (`count` local steps), not of the run.
        """
        paid = dict(self.charges.get(release, {}))
        for client in clients:
            paid[client] = paid.get(client, 0) | 1 << round
        return Ledger({**self.charges, release: paid}) if paid else self

    def releases(self, client: Client) -> tuple[Release, ...]:
        """Return everything a unit of `client` went into, the population's charges included; `()` if nothing."""
        return self._composition(self._profile(client))

    def epsilon(self, delta: float, clients: int = 0) -> Spent:
        """Return what has been spent at `delta`.

        Args:
            delta: Chance of failure, in (0, 1).
            clients: Number of clients there are; those never charged alone count for the median. The worst client
                does not depend on it.
        """
        charged = {client for paid in self.charges.values() for client in paid if client is not None}
        profiles = [self._profile(client) for client in charged]
        profiles += [self._profile(None)] * max(clients - len(charged), not profiles)
        if len(self.charges) == 1:
            # More of the same kind costs more: the order is known before any price is.
            profiles.sort()
        else:
            prices = {profile: epsilon(self._composition(profile), delta).pld for profile in set(profiles)}
            profiles.sort(key=prices.__getitem__)
        worst, median = self._composition(profiles[-1]), self._composition(profiles[len(profiles) // 2])
        return Spent(epsilon(worst, delta), epsilon(median, delta), worst)

    def to_json(self) -> str:
        """Return the ledger as JSON: sorted, rounds as hexadecimal bit sets, exact under `from_json`."""
        entries = [
            {"release": asdict(release), "rounds": {_label(client): hex(rounds) for client, rounds in _sorted(paid)}}
            for release, paid in sorted(self.charges.items(), key=lambda entry: entry[0])
        ]
        return json.dumps({"version": 1, "charges": entries}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Ledger":
        """Return the ledger that `to_json` wrote.

        Raises:
            RunError: If the text is not such a ledger: what was spent must never be guessed.
        """
        try:
            return cls(
                {
                    Release(**entry["release"]): {_client(key): int(bits, 16) for key, bits in entry["rounds"].items()}
                    for entry in json.loads(text)["charges"]
                }
            )
        except (PrivacyError, KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"the privacy ledger cannot be read ({error}); restore it from an earlier checkpoint"
            raise RunError(message) from error

    def _profile(self, client: Client) -> tuple[int, ...]:
        return tuple(_rounds(paid, client) for paid in self.charges.values())

    def _composition(self, profile: tuple[int, ...]) -> tuple[Release, ...]:
        kinds = zip(self.charges, profile, strict=True)
        return tuple(replace(kind, count=kind.count * rounds) for kind, rounds in kinds if rounds)


def _rounds(paid: Mapping[Client, int], client: Client) -> int:
    """Return in how many rounds a unit of `client` paid: its own and, each for itself, the population's."""
    own = paid.get(client, 0) if client is not None else 0
    return own.bit_count() + paid.get(None, 0).bit_count()


def _label(client: Client) -> str:
    return _POPULATION if client is None else str(client)


def _client(label: str) -> Client:
    return None if label == _POPULATION else int(label)


def _sorted(paid: Mapping[Client, int]) -> list[tuple[Client, int]]:
    return sorted(paid.items(), key=lambda entry: -1 if entry[0] is None else entry[0])
