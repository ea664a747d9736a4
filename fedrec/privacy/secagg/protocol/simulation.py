"""A whole round of secure aggregation in one process: the real protocol, with every message made and checked."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from fedrec.core.seeding import rng_for
from fedrec.privacy.secagg.protocol import server
from fedrec.privacy.secagg.protocol.client import Client
from fedrec.privacy.secagg.protocol.primitives import Entropy
from fedrec.privacy.secagg.terms import Terms, Vector


@dataclass(frozen=True, eq=False)
class Opened:
    """What a round ends with.

    Args:
        vector: Sum of the survivors' vectors modulo 2^bits.
        survivors: Who is in it.
    """

    vector: Vector
    survivors: tuple[int, ...]


@dataclass(frozen=True)
class Dropouts:
    """Who answers no more after a step."""

    advertised: Collection[int] = ()
    shared: Collection[int] = ()
    masked: Collection[int] = ()


def system_entropy(client: int) -> Entropy:  # noqa: ARG001 - the system knows no clients
    """Return the operating system's randomness, for every client."""
    return os.urandom


def named_entropy(seed: int, round: int) -> Callable[[int], Entropy]:
    """Return each client's own named generator: the same keys and masks every time. For simulations only."""
    return lambda client: rng_for(seed, "secure aggregation keys", round, client).bytes


def masked_sum(
    terms: Terms,
    vectors: Mapping[int, Vector],
    dropouts: Dropouts | None = None,
    entropy: Callable[[int], Entropy] = system_entropy,
) -> Opened:
    """Return what the server learns from these clients' vectors; the sum has the same bits whatever the entropy.

    Args:
        terms: Of the round.
        vectors: By client: `terms.length` integers of `terms.bits` bits as `terms.dtype`.
        dropouts: Who answers no more, and from when on.
        entropy: Each client's source of keys and seeds.

    Raises:
        SecureAggregationError: If the round fails; see `server` and `client`.
    """
    gone = dropouts or Dropouts()
    clients = {number: Client(number, terms, entropy(number)) for number in sorted(vectors)}
    roster = server.enrol(terms, [client.advertise() for client in clients.values()])
    posted = {n: client.share(roster) for n, client in clients.items() if n not in gone.advertised}
    inboxes = server.route(terms, roster, posted)
    masked = (clients[n].mask(inbox, vectors[n]) for n, inbox in inboxes.items() if n not in gone.shared)
    total = server.add(terms, roster, tuple(inboxes), masked)
    revealed = [clients[n].unmask(total.survivors) for n in total.survivors if n not in gone.masked]
    return Opened(server.unmask(terms, roster, total, revealed), total.survivors)
