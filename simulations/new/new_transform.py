"""NewTransform: a random part of the numbers is sent, and the server makes up for the rest."""

import numpy as np

from fedrec.transforms.base import Arrays, Sender, Transform


class NewTransform(Transform):
    """Sends each number with chance `share`, else 0; the server divides by `share`, so it is right on average.

    Args:
        share: Chance of a number to be sent, above 0 and at most 1.

    Raises:
        ValueError: If there is no such chance.
    """

    def __init__(self, share: float = 0.5) -> None:
        if isinstance(share, bool | str) or not 0 < share <= 1:
            message = f"share = {share!r}: should be a number above 0 and at most 1"
            raise ValueError(message)
        self.share = share

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Return the change with zeros in it; the sender's named draw says where."""
        rng = sender.rng("sent")
        sent = {}
        for name, value in sorted(change.items()):  # in the order of the names, so that all draws have their place
            chosen = rng.random(value.shape) < self.share
            sent[name] = np.where(chosen | ~np.isfinite(value), value, 0).astype(value.dtype)
        return sent

    def decode(self, received: Arrays) -> Arrays:
        """Return what came, divided by `share`."""
        return {name: (value / self.share).astype(value.dtype) for name, value in received.items()}
