"""NewAttack: malicious clients send the opposite of what they learnt."""

from fedrec.transforms.attack import Attack
from fedrec.transforms.base import Arrays, Sender


class NewAttack(Attack):
    """Turns a malicious client's change around and makes it `factor` times as long.

    Args:
        share: Share of all clients that are malicious.
        start_round: First round in which they attack, from 1.
        factor: How many times as long.
    """

    def __init__(self, share: float, start_round: int = 1, factor: float = 1.0) -> None:
        super().__init__(share, start_round)
        self.factor = float(factor)

    def poison(self, change: Arrays, sender: Sender) -> Arrays:
        """Return `-factor * change`."""
        del sender
        return {name: (-self.factor * value).astype(value.dtype) for name, value in change.items()}
