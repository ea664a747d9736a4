"""A transformer's block, written as matmuls and a softmax of plain Linear layers."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fedrec.models.transformer.dropout import dropped
from fedrec.models.transformer.positions import alibi


class Block(nn.Module):
    """Pre-norm self-attention, causal unless told otherwise, and a feed-forward layer, each with a residual.

    Args:
        width: Of the hidden state.
        heads: Of the attention; they divide the width.
        window: Most positions.
        relative: Whether attention is weaker the farther it looks (`alibi`).
        dropout: Share of each layer's outputs that is dropped in training.
        place: Number of the block, from 0.
    """

    causal: Tensor

    def __init__(  # noqa: PLR0913 (sizes, and what is switched on)
        self, width: int, heads: int, window: int, *, relative: bool = False, dropout: float = 0.0, place: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.dropout, self.place = heads, dropout, place
        self.attention_norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.register_buffer("causal", torch.ones(window, window, dtype=torch.bool).tril(), persistent=False)
        self.register_buffer("distance", alibi(heads, window) if relative else None, persistent=False)

    def forward(
        self,
        hidden: Float[Tensor, "batch length width"],
        draws: Int[Tensor, " batch"] | None = None,
        visible: Bool[Tensor, "batch 1 1 length"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Return the block's output.

        Args:
            hidden: Of each example.
            draws: Each example's number, which dropout follows from; nothing is dropped without.
            visible: Positions that every position sees, at least one; without, position `t` sees those up to `t`.
        """
        hidden = hidden + self._drop(self._attend(self.attention_norm(hidden), visible), draws, 0)
        fed: Tensor = self.contract(functional.gelu(self.expand(self.feed_norm(hidden))))
        return hidden + self._drop(fed, draws, 1)

    def _drop(self, hidden: Tensor, draws: Tensor | None, layer: int) -> Tensor:
        return hidden if draws is None else dropped(hidden, draws, 1 + 2 * self.place + layer, self.dropout)

    def _attend(self, hidden: Tensor, visible: Tensor | None) -> Tensor:
        batch, length, width = hidden.shape
        query, key, value = (
            project(hidden).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.mT / math.sqrt(width // self.heads)
        if isinstance(self.distance, Tensor):
            scores = scores + self.distance[:, :length, :length]
        seen = self.causal[:length, :length] if visible is None else visible
        scores = scores.masked_fill(~seen, -math.inf)
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, length, width)
        attended: Tensor = self.output(mixed)
        return attended
