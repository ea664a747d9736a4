"""The cryptography that the protocol is made of: calls into `cryptography` and `pycryptodome`, nothing of our own."""

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from Crypto.Protocol.SecretSharing import Shamir
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrec.privacy.secagg.errors import TamperedError
from fedrec.privacy.secagg.terms import Vector

Entropy = Callable[[int], bytes]
"""Gives so many random bytes: `os.urandom`, or a named generator's `bytes` where a simulation must repeat itself."""

NONCE_BYTES = 12


def derive(secret: bytes, purpose: str, *numbers: int, public: bytes = b"") -> bytes:
    """Return 32 bytes for one purpose (HKDF-SHA256): other purposes and numbers give unrelated bytes.

    Args:
        secret: What only its holders know.
        purpose: What the bytes are for.
        numbers: Round and clients, so that they fit nothing else.
        public: Public keys that the secret was agreed with.
    """
    info = "|".join(["fedrec secagg 1", purpose, *map(str, numbers)]).encode()
    return HKDF(algorithm=SHA256(), length=32, salt=public or None, info=info).derive(secret)


def public_key(private: bytes) -> bytes:
    """Return the X25519 public key of 32 private bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, public: bytes) -> bytes:
    """Return the X25519 secret that both sides compute; not yet a key (see `derive`).

    Raises:
        TamperedError: If the public key is no key, or one of the few that agree on the same secret with everyone.
    """
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        message = f"no secret can be agreed with the public key {public.hex()}"
        raise TamperedError(message) from None


def expand(key: bytes, length: int, dtype: np.dtype[np.unsignedinteger]) -> Vector:
    """Return the first integers of a 32-byte key's stream (AES-256 in counter mode from 0); no key is used twice."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(stream.update(bytes(length * dtype.itemsize)), dtype=dtype)


def seal(key: bytes, plain: bytes, context: bytes) -> bytes:
    """Return nonce and ciphertext (AES-256-GCM), bound to their context.

    The nonce is the system's own even in a simulation that repeats its keys: the shares inside do not repeat.
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Return what was sealed.

    Raises:
        TamperedError: If key, context or ciphertext is not the one it was sealed with.
    """
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        message = f"a sealed share cannot be opened ({context.decode()}): altered, or sealed for someone else"
        raise TamperedError(message) from None


def split(secret: bytes, needed: int, holders: Sequence[int]) -> dict[int, bytes]:
    """Return each holder's Shamir share of 16 bytes: `needed` of them rebuild it, fewer tell nothing.

    The polynomial is the system's own randomness, always: nothing that is rebuilt depends on it.
    """
    shares = Shamir.split(needed, len(holders), secret, ssss=False)
    return {holder: share for holder, (_, share) in zip(holders, shares, strict=True)}


def rebuild(shares: Mapping[int, bytes], holders: Sequence[int]) -> bytes:
    """Return the 16 bytes of which these are exactly as many shares as needed, by holder.

    Args:
        shares: By holder.
        holders: All to whom it was split, in the same order.
    """
    return Shamir.combine([(holders.index(holder) + 1, share) for holder, share in shares.items()], ssss=False)
