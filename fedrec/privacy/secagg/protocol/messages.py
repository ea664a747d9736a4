"""What travels in a round of secure aggregation: numbers, bytes and one array, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedrec.privacy.secagg.terms import Vector

KEY_BYTES = 32
SECRET_BYTES = 16
SEALED_BYTES = 12 + 2 * SECRET_BYTES + 16
"""A nonce, two shares, a tag."""


@dataclass(frozen=True)
class PublicKeys:
    """Step 1, client to everyone.

    Args:
        client: Who.
        channel: X25519 public key under which others seal shares for it.
        mask: X25519 public key with which it agrees on masks.
        self_tag: What its own mask's seed derives beside the mask: a rebuilt seed is checked by it.
    """

    client: int
    channel: bytes
    mask: bytes
    self_tag: bytes


Roster = tuple[PublicKeys, ...]
"""All public keys, by client number: what the server sends everyone before step 2."""


@dataclass(frozen=True)
class SealedShare:
    """Step 2, client to client through the server, which cannot read it: shares of the sender's two secrets."""

    sender: int
    receiver: int
    sealed: bytes


@dataclass(frozen=True)
class Inbox:
    """What the server hands a client before step 3.

    Args:
        sharers: Everyone whose shares arrived, sorted.
        shares: Those for this client, one from each neighbour among the sharers.
    """

    sharers: tuple[int, ...]
    shares: tuple[SealedShare, ...]


@dataclass(frozen=True, eq=False)
class MaskedVector:
    """Step 3, client to server: integers modulo 2^bits, uniform to whoever lacks the masks."""

    client: int
    vector: Vector


@dataclass(frozen=True)
class Revealed:
    """Step 4, client to server: shares by owner. No owner is in both.

    Args:
        client: Who reveals.
        self_seeds: Of the own mask's seed, for owners whose masked vector arrived.
        mask_seeds: Of the mask key's seed, for owners who shared and then dropped out.
    """

    client: int
    self_seeds: Mapping[int, bytes]
    mask_seeds: Mapping[int, bytes]
