"""An attacker is a transform: some clients send something else than what they learnt.

A subclass writes `poison`; who attacks, and from when on, is said here. The attack comes after the client's own clip
and noise, as an attacker's would, and before whatever transforms stand behind it in the list. Under central trust the
server clips what came of it like anybody's change.
"""

from abc import abstractmethod
from dataclasses import replace
from functools import lru_cache

from fedrec.transforms.base import Arrays, Sender, Transform


class Attack(Transform):
    """Malicious clients poison their changes; all others send theirs as they are, and the server decodes nothing.

    Who is malicious is a named draw from the experiment's seed: the same clients in all rounds, on every engine, and
    under every noise key. A client without a change of its own (one without data) attacks nobody: a change of zeros
    passes by all transforms.

    Args:
        share: Share of all clients that are malicious, at least one client if it is above 0.
        start_round: First round in which they attack, from 1.

    Raises:
        ValueError: If there is no such share or round.
    """

    def __init__(self, share: float, start_round: int = 1) -> None:
        if isinstance(share, bool | str) or not 0 <= share <= 1:
            message = f"share = {share!r}: should be a number from 0 to 1"
            raise ValueError(message)
        if isinstance(start_round, bool) or not isinstance(start_round, int) or start_round < 1:
            message = f"start_round = {start_round!r}: should be a whole number from 1"
            raise ValueError(message)
        self.share, self.start_round = share, start_round

    @abstractmethod
    def poison(self, change: Arrays, sender: Sender) -> Arrays:
        """Return what a malicious client sends for its change, of the same names, shapes and types."""

    def is_malicious(self, sender: Sender) -> bool:
        """Return whether a client is one of the malicious ones, in whatever round."""
        return sender.client in _malicious(replace(sender, client=0, round=1), self.share)

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Poison the change if its sender is malicious and the attack has begun."""
        attacks = sender.round >= self.start_round and self.is_malicious(sender)
        return self.poison(change, sender) if attacks else change

    def decode(self, received: Arrays) -> Arrays:
        """Return what came: the server knows of no attack."""
        return received


@lru_cache(maxsize=16)
def _malicious(anyone: Sender, share: float) -> frozenset[int]:
    """Return the malicious clients of a run, the same for every sender of one place in the list."""
    count = max(1, int(share * anyone.clients + 0.5)) if share else 0
    drawn = anyone.lasting_rng("malicious").permutation(anyone.clients)[:count]
    return frozenset(drawn.tolist())
