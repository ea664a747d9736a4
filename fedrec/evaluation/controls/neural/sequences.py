"""What SASRec and BERT4Rec share: users' rows in windows, and a transformer over item ids."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fedrec.data.interactions import IntArray, Interactions
from fedrec.models.transformer.block import Block
from fedrec.models.transformer.dropout import dropped

WIDTH, BLOCKS = 64, 2
PADDING = -1
"""In the place of an item behind a window that is shorter than the longest of its batch."""


def windows(rows: Interactions, longest: int, overlap: int = 0) -> list[IntArray]:
    """Return every user's items in time order, cut from the end into windows.

    Args:
        rows: Of users, who may have none.
        longest: Items of a window; a user's first one may be shorter.
        overlap: Items at the beginning of a window that end the one before; a window has more than these.
    """
    return [
        items[max(0, end - longest) : end]
        for items in map(rows.items_of, range(rows.num_users))
        for end in range(len(items), overlap, overlap - longest)
    ]


def padded(histories: Sequence[IntArray]) -> Int[Tensor, "histories longest"]:
    """Return histories as one tensor, with `PADDING` behind the shorter ones."""
    return pad_sequence([torch.from_numpy(np.array(own)) for own in histories], batch_first=True, padding_value=PADDING)


class SequenceEncoder(nn.Module):
    """Item and position vectors, and pre-norm blocks of attention.

    Args:
        num_embeddings: Items, and what else may stand in a sequence.
        window: Most positions.
        heads: Of the attention.
        dropout: Share of values dropped in training.
        generator: Draws the weights: normal with .02, norms 1, biases 0.
    """

    def __init__(
        self, num_embeddings: int, window: int, heads: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.item, self.position = nn.Embedding(num_embeddings, WIDTH), nn.Embedding(window, WIDTH)
        self.blocks = nn.ModuleList(
            Block(WIDTH, heads, window, dropout=dropout, place=place) for place in range(BLOCKS)
        )
        self.norm = nn.LayerNorm(WIDTH)
        draw_weights_(self, generator)

    def forward(
        self,
        items: Int[Tensor, "batch length"],
        draws: Int[Tensor, " batch"] | None = None,
        visible: Bool[Tensor, "batch 1 1 length"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Return hidden states.

        Args:
            items: With `PADDING` behind; its hidden states mean nothing.
            draws: Each example's number, which dropout follows from; nothing is dropped without.
            visible: Where every position may look; up to itself, if not given.
        """
        hidden = self.item(items.clamp(min=0)) + self.position.weight[: items.shape[1]]
        if draws is not None:
            hidden = dropped(hidden, draws, 0, self.dropout)
        for block in self.blocks:
            hidden = block(hidden, draws, visible)
        normed: Tensor = self.norm(hidden)
        return normed


def draw_weights_(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every matrix from a normal of .02; biases become 0; norms, which are 1, stay."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02, generator=generator)
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
