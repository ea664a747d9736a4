"""What a recommender must offer to be trained, adapted and judged here."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A sequential recommender over a catalogue; register one in `fedrec.training.pretraining.MODELS`.

    Attributes:
        window: Longest history it reads.
        softmax_items: Catalogues above this size train on a sampled softmax of this many items.
        item_vectors: Frozen vectors of the catalogue, `[num_items, dimensions]`.
        adaptor: From item vectors to the model's own width.
        item_delta: A free vector per item, 0 at the start.
        item_bias: A free score per item, 0 at the start; the score counts `bias_scale` times.
        per_example: Set under Opacus' hooks, which take the first axis of every module's input as the example axis:
            what is trained must then see a copy of shared inputs for every example.
    """

    window: int
    softmax_items: int
    item_vectors: Tensor
    adaptor: nn.Module
    item_delta: nn.Embedding
    item_bias: nn.Embedding
    bias_scale: float = 1.0
    per_example: bool = False

    @abstractmethod
    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`."""

    @abstractmethod
    def forward(
        self,
        history: Int[Tensor, "batch length"],
        candidates: Int[Tensor, "batch candidates"] | None = None,
        shared: Int[Tensor, " shared"] | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position: of all items, or of each row's `candidates` and then of `shared` items.

        Args:
            history: Item indices, right-padded with any item; at most `window` long.
            candidates: Items to score, each row its own; the whole catalogue when None.
            shared: Items to score in every row, behind the candidates; read only with `candidates`.
        """

    @abstractmethod
    def last_hidden(
        self, history: Int[Tensor, "batch length"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Return the hidden state after each history's last item; `lengths` are at least 1."""

    @abstractmethod
    def score_all(self, hidden: Float[Tensor, "batch width"]) -> Float[Tensor, "batch items"]:
        """Return the scores of the whole catalogue for each hidden state."""
