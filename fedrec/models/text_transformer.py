"""The default recommender: frozen item vectors, an item projection, a small causal transformer over the history.

Kang & McAuley 2018 (SASRec) with text item vectors (UniSRec, Hou et al. 2022) and a full softmax (Klenitskiy &
Vasilev 2023). Attention is written as two matmuls and a softmax of plain Linear layers, so that Opacus' hooks,
PEFT and `torch.func` all see it.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.recommender import MODELS, ModelInputs, Recommender

BIAS_SCALE = 10.0
"""What one unit of an item's bias adds to its score: popularity, whose gradient is spread thinly over all items, is
then learnt at the pace of the rest, under one learning rate and one clip norm."""


@MODELS.register("text_transformer")
class TextTransformer(Recommender):
    """Scores items after every position of a history; it knows no users.

    Its parts are the `item_projection` from item vectors to the model's width; the `item_delta`, a free vector an item;
    and the `item_bias`, a free score per item. The latter two are 0 at the start.

    Args:
        inputs: The items, with their vectors.
        config: Sizes.

    Raises:
        ConfigError: If the heads do not divide the width.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text"})
    parts: ClassVar[tuple[str, ...]] = ("item_projection", "item_bias", "item_delta")
    item_vectors: Tensor

    def __init__(self, inputs: ModelInputs, config: ModelConfig) -> None:
        super().__init__()
        item_vectors = inputs.item_vectors
        if item_vectors is None:
            message = "the model text_transformer reads item vectors, and got none"
            raise ConfigError(message)
        num_items, dimensions = item_vectors.shape
        self.window, self.num_items = config.window, num_items
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.item_projection = nn.Linear(dimensions, config.width)
        self.item_delta = nn.Embedding(num_items, config.width)
        self.item_bias = nn.Embedding(num_items, 1)
        self.bias_scale = BIAS_SCALE
        self.position = nn.Embedding(config.window, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.window) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`: normal 0.02, biases 0, norms 1; item delta and bias start at 0."""
        for name, parameter in self.named_parameters():
            owner = name.rsplit(".", 2)[-2]
            if "norm" in owner and name.endswith("weight"):
                nn.init.ones_(parameter)
            elif name.endswith("bias") or owner in {"item_delta", "item_bias"}:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.02, generator=generator)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Int[Tensor, "batch candidates"] | None = None,
        shared: Int[Tensor, " shared"] | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position; causal attention never looks at the padding."""
        history = batch["history"]
        if candidates is not None:
            return self._score_candidates(history, candidates, shared)
        scored = items or range(self.num_items)
        everything = torch.arange(scored.start, scored.stop, device=history.device)
        copies = everything.expand(len(history), -1) if self.per_example else everything
        embedded = self._embed(copies if self._embedding_is_trained() else everything)
        hidden = self._encode(_rows(embedded, history, scored, whole=len(scored) == self.num_items))
        return hidden @ embedded.mT + self._bias(copies).unsqueeze(-2)

    def _score_candidates(self, history: Tensor, candidates: Tensor, shared: Tensor | None) -> Tensor:
        if shared is not None and self.per_example:
            candidates, shared = torch.cat((candidates, shared.expand(len(history), -1)), dim=1), None
        length = history.shape[1]
        both = self._embed(torch.cat((history, candidates), dim=1))
        hidden, items = self._encode(both[:, :length]), both[:, length:]
        scores = hidden @ items.mT + self._bias(candidates)[:, None, :]
        if shared is None:
            return scores
        # One embedding for the whole batch: a copy per example would need batch times the memory.
        return torch.cat((scores, hidden @ self._embed(shared).mT + self._bias(shared)), dim=2)

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items after each history's last item."""
        history = batch["history"]
        states = self._encode(self._embed(history))
        hidden = states[torch.arange(len(states), device=history.device), batch["length"] - 1]
        everything = torch.arange(self.num_items, device=history.device)
        return hidden @ self._embed(everything).T + self._bias(everything)

    def _embedding_is_trained(self) -> bool:
        return any(
            parameter.requires_grad
            for part in (self.item_projection, self.item_delta)
            for parameter in part.parameters()
        )

    def _embed(self, items: Tensor) -> Tensor:
        embedded: Tensor = self.item_projection(self.item_vectors[items]) + self.item_delta(items)
        return embedded

    def _bias(self, items: Tensor) -> Tensor:
        bias: Tensor = self.bias_scale * self.item_bias(items).squeeze(-1)
        return bias

    def _encode(self, embedded: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        places = torch.arange(embedded.shape[1], device=embedded.device)
        hidden = embedded + self.position(places.expand(embedded.shape[0], -1))
        for block in self.blocks:
            hidden = block(hidden)
        normed: Tensor = self.norm(hidden)
        return normed


class Block(nn.Module):
    """Pre-norm causal self-attention and a feed-forward layer, each with a residual."""

    causal: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.register_buffer("causal", torch.ones(window, window, dtype=torch.bool).tril(), persistent=False)

    def forward(self, hidden: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        """Return the block's output; position `t` sees positions up to `t`."""
        hidden = hidden + self._attend(self.attention_norm(hidden))
        fed: Tensor = self.contract(functional.gelu(self.expand(self.feed_norm(hidden))))
        return hidden + fed

    def _attend(self, hidden: Tensor) -> Tensor:
        batch, length, width = hidden.shape
        query, key, value = (
            project(hidden).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        scores = query @ key.mT / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~self.causal[:length, :length], -math.inf)
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, length, width)
        attended: Tensor = self.output(mixed)
        return attended


def _rows(
    items: Tensor, history: Int[Tensor, "batch length"], scored: range, *, whole: bool
) -> Float[Tensor, "batch length width"]:
    """Return the history's rows of `items`, which is `[items, width]` or one copy per example.

    Args:
        items: Embedded items, all or a slice of them.
        history: Item indices; padding may lie outside of the slice, and its rows are never looked at.
        scored: Which items these are.
        whole: Whether they are all.
    """
    if not whole:
        history = (history - scored.start).clamp(0, len(scored) - 1)
    if items.dim() == 2:
        return items[history]
    return items.gather(1, history[:, :, None].expand(-1, -1, items.shape[2]))
