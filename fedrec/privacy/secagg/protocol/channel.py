"""Shares on their way from client to client: sealed so that the server carries what it cannot read."""

from fedrec.privacy.secagg.errors import TamperedError
from fedrec.privacy.secagg.protocol.messages import PublicKeys, SealedShare
from fedrec.privacy.secagg.protocol.primitives import agree, derive, seal, unseal
from fedrec.privacy.secagg.terms import Terms


def seal_share(terms: Terms, channel_key: bytes, sender: PublicKeys, receiver: PublicKeys, plain: bytes) -> SealedShare:
    """Return the sender's shares, sealed for the receiver.

    Args:
        terms: Of the round.
        channel_key: The sender's private key.
        sender: Its public keys.
        receiver: Those of whom it is for.
        plain: What to seal.
    """
    key = _key(terms, agree(channel_key, receiver.channel), sender, receiver)
    return SealedShare(sender.client, receiver.client, seal(key, plain, _context(terms, sender, receiver)))


def open_share(terms: Terms, channel_key: bytes, receiver: PublicKeys, sender: PublicKeys, share: SealedShare) -> bytes:
    """Return what the sender sealed for this receiver in this round.

    Raises:
        TamperedError: If it is altered, or for someone else.
    """
    if share.receiver != receiver.client:
        message = f"client {receiver.client} was handed a share for client {share.receiver}"
        raise TamperedError(message)
    key = _key(terms, agree(channel_key, sender.channel), sender, receiver)
    return unseal(key, share.sealed, _context(terms, sender, receiver))


def _key(terms: Terms, secret: bytes, sender: PublicKeys, receiver: PublicKeys) -> bytes:
    """Return the key of one direction of one pair's channel."""
    public = sender.channel + receiver.channel
    return derive(secret, "channel", terms.round, sender.client, receiver.client, public=public)


def _context(terms: Terms, sender: PublicKeys, receiver: PublicKeys) -> bytes:
    return f"round {terms.round}, client {sender.client} to client {receiver.client}".encode()
