"""The two kinds of masks, as client and server compute them alike."""

from fedrec.privacy.secagg.protocol.messages import PublicKeys
from fedrec.privacy.secagg.protocol.primitives import agree, derive, expand
from fedrec.privacy.secagg.terms import Terms, Vector


def mask_private(mask_seed: bytes, terms: Terms, client: int) -> bytes:
    """Return the private X25519 mask key of a 16-byte seed: the seed is what Shamir splits."""
    return derive(mask_seed, "mask key", terms.round, client)


def self_tag(self_seed: bytes, terms: Terms, client: int) -> bytes:
    """Return the public bytes by which a rebuilt seed of an own mask is known to be the right one."""
    return derive(self_seed, "self tag", terms.round, client)


def self_mask(self_seed: bytes, terms: Terms, client: int) -> Vector:
    """Return a client's own mask."""
    return expand(derive(self_seed, "self mask", terms.round, client), terms.length, terms.dtype)


def pair_mask(private: bytes, own: PublicKeys, other: PublicKeys, terms: Terms) -> Vector:
    """Return what `own` adds to its vector for `other`, who adds the negative of it.

    Args:
        private: The private mask key of `own`.
        own: Public keys of the client whose mask it is.
        other: Those of its neighbour.
        terms: Of the round.
    """
    low, high = sorted((own, other), key=lambda keys: keys.client)
    key = derive(
        agree(private, other.mask), "pair mask", terms.round, low.client, high.client, public=low.mask + high.mask
    )
    mask = expand(key, terms.length, terms.dtype)
    return mask if own is low else -mask
