"""A way past the transformer: items whose text is like that of the history's last items, by a learned gain.

What frozen text says of two items needs no training, so it serves where little or nothing was learnt: few users, items
that nobody touched, a platform that took no part.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

GAIN_SCALE = 10.0
"""What one unit of the gain's parameter adds to the score of an item that is just like the history, as for the bias."""


class TextSkip(nn.Module):
    """`gain * cosine(past, item)`: the past is the sum of the history's item vectors, each times exp(-age / decay).

    An item's age is the number of items after it. The gain is an embedding of one row, so that Opacus finds its
    gradient for each example; it starts at 0, and the model as it would be without.

    Args:
        window: The longest history.
        decay: Above 0, in items.
    """

    fading: Tensor

    def __init__(self, window: int, decay: float) -> None:
        super().__init__()
        ages = torch.arange(window)[:, None] - torch.arange(window)
        self.register_buffer("fading", torch.exp(-ages / decay).tril(), persistent=False)
        self.gain = nn.Embedding(1, 1)

    def forward(
        self, vectors: Float[Tensor, "batch length dimensions"], history: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length dimensions"]:
        """Return what an item vector of length 1 is multiplied by for its part of the score, after each position.

        Args:
            vectors: Item vectors of the history.
            history: Its items.
        """
        length = vectors.shape[1]
        past = functional.normalize(self.fading[:length, :length] @ vectors, dim=-1)
        gain: Tensor = GAIN_SCALE * self.gain(torch.zeros_like(history[:, :1]))
        return gain * past
