"""The server's side of secure aggregation: it carries what it cannot read, adds what is masked, opens one sum.

Nothing here takes an unmasked vector, and no masked one is kept: they are added as they come.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedrec.privacy.secagg.errors import TamperedError
from fedrec.privacy.secagg.graph import Ring
from fedrec.privacy.secagg.protocol.checks import (
    check_enough,
    check_known,
    check_rebuilds,
    check_roster,
    check_survivors,
)
from fedrec.privacy.secagg.protocol.masks import mask_private, pair_mask, self_mask, self_tag
from fedrec.privacy.secagg.protocol.messages import (
    SEALED_BYTES,
    SECRET_BYTES,
    Inbox,
    MaskedVector,
    PublicKeys,
    Revealed,
    Roster,
    SealedShare,
)
from fedrec.privacy.secagg.protocol.primitives import public_key, rebuild
from fedrec.privacy.secagg.terms import Terms, Vector


@dataclass(frozen=True, eq=False)
class MaskedSum:
    """What the server knows between steps 3 and 4.

    Args:
        sharers: Everyone whose shares arrived, sorted.
        survivors: Everyone whose masked vector arrived, sorted: what step 4 is told.
        vector: Sum of the masked vectors: still masked, by every survivor's own mask.
    """

    sharers: tuple[int, ...]
    survivors: tuple[int, ...]
    vector: Vector


def enrol(terms: Terms, advertised: Iterable[PublicKeys]) -> Roster:
    """Return the roster that goes to everyone on it.

    Raises:
        TooFewClientsError: If fewer than the threshold advertised.
        TamperedError: If there are more than invited, or a client or key came twice.
    """
    roster = tuple(sorted(advertised, key=lambda keys: keys.client))
    check_roster(terms, roster)
    return roster


def route(terms: Terms, roster: Roster, posted: Mapping[int, Sequence[SealedShare]]) -> dict[int, Inbox]:
    """Return what each client that shared is handed: the shares that others sealed for it.

    Args:
        terms: Of the round.
        roster: Everyone's public keys.
        posted: What arrived from whom.

    Raises:
        TooFewClientsError: If fewer than the threshold shared.
        TamperedError: If a client posted for others than its neighbours, or not for all.
    """
    clients = _clients(roster)
    check_known(list(posted), clients, "shared")
    check_enough(terms, len(posted), "shared their secrets")
    ring, sharers = terms.ring(clients), tuple(sorted(posted))
    boxes: dict[int, list[SealedShare]] = {client: [] for client in sharers}
    for sender in sharers:
        _check_post(sender, posted[sender], ring)
        for share in posted[sender]:
            if share.receiver in boxes:
                boxes[share.receiver].append(share)
    return {client: Inbox(sharers, tuple(shares)) for client, shares in boxes.items()}


def add(terms: Terms, roster: Roster, sharers: tuple[int, ...], masked: Iterable[MaskedVector]) -> MaskedSum:
    """Return the sum of masked vectors, and who is in it.

    Args:
        terms: Of the round.
        roster: Everyone's public keys.
        sharers: Everyone whose shares arrived.
        masked: What arrived in time; later ones must be thrown away, for their owners count as dropped out.

    Raises:
        TooFewClientsError: If they are fewer than the threshold, or fall apart into sums of their own.
        TamperedError: If one is not what the terms say, from a client that is not in the cohort, or a second one.
    """
    total = np.zeros(terms.length, dtype=terms.dtype)
    survivors = []
    for message in masked:
        if flaw := terms.flaw(message.vector):
            text = f"client {message.client} sent {flaw} as its masked vector"
            raise TamperedError(text)
        total += message.vector
        survivors.append(message.client)
    check_survivors(terms, _clients(roster), sharers, survivors)
    return MaskedSum(sharers, tuple(sorted(survivors)), terms.reduced(total))


def unmask(terms: Terms, roster: Roster, masked: MaskedSum, revealed: Iterable[Revealed]) -> Vector:
    """Return the sum of the survivors' vectors modulo 2^bits.

    Survivors' own masks are rebuilt and taken off, and so are the masks that they share with clients who dropped out;
    those among themselves cancel.

    Raises:
        TooFewClientsError: If fewer than the threshold revealed shares, or too few of one client's neighbours.
        TamperedError: If a client revealed other shares than asked for, or a rebuilt secret is wrong.
    """
    replies = list(revealed)
    check_known([reply.client for reply in replies], masked.survivors, "revealed shares")
    check_enough(terms, len(replies), "revealed shares")
    keys_of = {keys.client: keys for keys in roster}
    ring, staying = terms.ring(_clients(roster)), frozenset(masked.survivors)
    for reply in replies:
        _check_revealed(reply, ring, frozenset(masked.sharers), staying)
    total = masked.vector.copy()
    for client in masked.sharers:
        given = {reply.client: reply.self_seeds if client in staying else reply.mask_seeds for reply in replies}
        shares = {holder: seeds[client] for holder, seeds in given.items() if client in seeds}
        seed = _rebuilt(terms, client, shares, ring.holders(client))
        if client in staying:
            _check_rebuilt(client, self_tag(seed, terms, client), keys_of[client].self_tag)
            total -= self_mask(seed, terms, client)
            continue
        private = mask_private(seed, terms, client)
        _check_rebuilt(client, public_key(private), keys_of[client].mask)
        for other in staying.intersection(ring.neighbours(client)):
            total += pair_mask(private, keys_of[client], keys_of[other], terms)
    return terms.reduced(total)


def _clients(roster: Roster) -> tuple[int, ...]:
    return tuple(keys.client for keys in roster)


def _rebuilt(terms: Terms, client: int, shares: Mapping[int, bytes], holders: tuple[int, ...]) -> bytes:
    check_rebuilds(terms, client, len(shares), len(holders))
    return rebuild(dict(sorted(shares.items())[: terms.shares_needed(len(holders))]), holders)


def _check_post(sender: int, shares: Sequence[SealedShare], ring: Ring) -> None:
    to = tuple(sorted(share.receiver for share in shares))
    wrong = [share for share in shares if share.sender != sender or len(share.sealed) != SEALED_BYTES]
    if wrong or to != ring.neighbours(sender):
        message = f"client {sender} must post one sealed share of {SEALED_BYTES} bytes for each of its neighbours"
        raise TamperedError(message)


def _check_revealed(reply: Revealed, ring: Ring, sharers: frozenset[int], staying: frozenset[int]) -> None:
    owners = sharers.intersection(ring.holders(reply.client))
    shares = [*reply.self_seeds.values(), *reply.mask_seeds.values()]
    if (
        reply.self_seeds.keys() != owners & staying
        or reply.mask_seeds.keys() != owners - staying
        or any(len(share) != SECRET_BYTES for share in shares)
    ):
        message = f"client {reply.client} revealed other shares than it was asked for"
        raise TamperedError(message)


def _check_rebuilt(client: int, found: bytes, published: bytes) -> None:
    if found != published:
        message = f"the secret rebuilt for client {client} is not the one it advertised: a share was altered"
        raise TamperedError(message)
