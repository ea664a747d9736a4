"""A client's side of secure aggregation: four steps, each taken once, whose secrets are gone after the last.

A client that refuses a step leaves the round: it forgets its secrets and answers nothing more in it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fedrec.privacy.secagg.errors import OutOfTurnError, SecureAggregationError, TamperedError
from fedrec.privacy.secagg.protocol.channel import open_share, seal_share
from fedrec.privacy.secagg.protocol.checks import check_roster, check_sharers, check_survivors
from fedrec.privacy.secagg.protocol.masks import mask_private, pair_mask, self_mask, self_tag
from fedrec.privacy.secagg.protocol.messages import (
    SECRET_BYTES,
    Inbox,
    MaskedVector,
    PublicKeys,
    Revealed,
    Roster,
    SealedShare,
)
from fedrec.privacy.secagg.protocol.primitives import Entropy, public_key, split
from fedrec.privacy.secagg.terms import Terms, Vector


@dataclass(frozen=True)
class Start:
    """Before step 1."""


@dataclass(frozen=True)
class Advertised:
    """After step 1: three secrets."""

    channel_key: bytes = field(repr=False)
    mask_seed: bytes = field(repr=False)
    self_seed: bytes = field(repr=False)


@dataclass(frozen=True)
class Shared:
    """After step 2: the secrets, everyone's public keys, and the client's shares of its own (mask seed, self seed)."""

    secrets: Advertised
    roster: Roster
    own: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True)
class Masked:
    """After step 3: the shares (mask seed, self seed) that it holds, by owner."""

    clients: tuple[int, ...]
    sharers: tuple[int, ...]
    held: Mapping[int, tuple[bytes, bytes]] = field(repr=False)


@dataclass(frozen=True)
class Gone:
    """After step 4, or a step refused: no secrets are left."""


Stage = Start | Advertised | Shared | Masked | Gone
S = TypeVar("S", Start, Advertised, Shared, Masked)


class Client:
    """One client in one round.

    Attributes:
        stage: What it must remember until its next step. Who saves it between messages must overwrite the one before:
            a client that goes back to an earlier stage can be asked for both shares of a neighbour.

    Args:
        number: Its number in the federation.
        terms: Of the round.
        entropy: Source of its keys and seeds.
        stage: Where it goes on.
    """

    def __init__(self, number: int, terms: Terms, entropy: Entropy = os.urandom, stage: Stage | None = None) -> None:
        self.number = number
        self.terms = terms
        self.stage: Stage = Start() if stage is None else stage
        self._entropy = entropy

    def advertise(self) -> PublicKeys:
        """Step 1: draw fresh secrets and return the public keys."""
        self._take(Start)
        secrets = Advertised(self._entropy(32), self._entropy(SECRET_BYTES), self._entropy(SECRET_BYTES))
        self.stage = secrets
        return self._public(secrets)

    def share(self, roster: Roster) -> tuple[SealedShare, ...]:
        """Step 2: return shares of both seeds, sealed for each neighbour.

        Raises:
            TooFewClientsError: If the roster is shorter than the threshold.
            TamperedError: If it has this client's keys not or otherwise, or a client or key twice.
        """
        secrets = self._take(Advertised)
        check_roster(self.terms, roster)
        own = self._public(secrets)
        if own not in roster:
            message = f"client {self.number} does not find its own public keys in the roster"
            raise TamperedError(message)
        ring = self.terms.ring(tuple(keys.client for keys in roster))
        holders = ring.holders(self.number)
        needed = self.terms.shares_needed(len(holders))
        mask_shares, self_shares = (split(seed, needed, holders) for seed in (secrets.mask_seed, secrets.self_seed))
        sealed = tuple(
            seal_share(self.terms, secrets.channel_key, own, keys, mask_shares[keys.client] + self_shares[keys.client])
            for keys in roster
            if keys.client in holders and keys.client != self.number
        )
        self.stage = Shared(secrets, roster, (mask_shares[self.number], self_shares[self.number]))
        return sealed

    def mask(self, inbox: Inbox, vector: Vector) -> MaskedVector:
        """Step 3: return the vector under its own mask and one for each neighbour that shared.

        Args:
            inbox: Who shared, and the shares for this client.
            vector: `terms.length` integers of `terms.bits` bits as `terms.dtype`.

        Raises:
            SecureAggregationError: If the vector is not what the terms say.
            TooFewClientsError: If fewer shared than the threshold.
            TamperedError: If a share is missing, altered, or for someone else.
        """
        stage = self._take(Shared)
        if flaw := self.terms.flaw(vector):
            message = f"client {self.number} was given {flaw} to mask"
            raise SecureAggregationError(message)
        clients = tuple(keys.client for keys in stage.roster)
        check_sharers(self.terms, clients, inbox.sharers, self.number)
        near = [client for client in self.terms.ring(clients).neighbours(self.number) if client in inbox.sharers]
        if sorted(share.sender for share in inbox.shares) != near:
            message = f"client {self.number} needs one share from each of its neighbours {near}"
            raise TamperedError(message)
        keys_of = {keys.client: keys for keys in stage.roster}
        own, secrets = keys_of[self.number], stage.secrets
        held = {self.number: stage.own}
        for share in inbox.shares:
            plain = open_share(self.terms, secrets.channel_key, own, keys_of[share.sender], share)
            held[share.sender] = (plain[:SECRET_BYTES], plain[SECRET_BYTES:])
        private = mask_private(secrets.mask_seed, self.terms, self.number)
        masked = vector + self_mask(secrets.self_seed, self.terms, self.number)
        for client in near:
            masked += pair_mask(private, own, keys_of[client], self.terms)
        self.stage = Masked(clients, inbox.sharers, held)
        return MaskedVector(self.number, self.terms.reduced(masked))

    def unmask(self, survivors: tuple[int, ...]) -> Revealed:
        """Step 4: return one share for each client whose shares it holds, and forget the other.

        Args:
            survivors: Everyone whose masked vector arrived.

        Raises:
            TooFewClientsError: If they are fewer than the threshold, or fall apart into sums of their own.
            TamperedError: If they are not among those who shared, or this client is not one of them.
        """
        stage = self._take(Masked)
        check_survivors(self.terms, stage.clients, stage.sharers, survivors, self.number)
        staying = set(survivors)
        return Revealed(
            self.number,
            self_seeds={owner: self_share for owner, (_, self_share) in stage.held.items() if owner in staying},
            mask_seeds={owner: mask_share for owner, (mask_share, _) in stage.held.items() if owner not in staying},
        )

    def _take(self, kind: type[S]) -> S:
        """Return the stage if it is of this kind, and leave the round until the step has succeeded."""
        stage = self.stage
        if not isinstance(stage, kind):
            message = (
                f"client {self.number} was asked for the step after {kind.__name__} but is at {type(stage).__name__}; "
                "every step is taken once, in order"
            )
            raise OutOfTurnError(message)
        self.stage = Gone()
        return stage

    def _public(self, secrets: Advertised) -> PublicKeys:
        return PublicKeys(
            self.number,
            public_key(secrets.channel_key),
            public_key(mask_private(secrets.mask_seed, self.terms, self.number)),
            self_tag(secrets.self_seed, self.terms, self.number),
        )
