"""NewModel: the mean of a history's item vectors says what comes next."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedrec.experiment.config import ModelConfig
from fedrec.models.recommender import ModelInputs, Recommender


class NewModel(Recommender):
    """Scores an item by its vector times the mean vector of the history, plus its bias; no text is read.

    What it trains is shared by all clients. A part that stays with its client is named in `scopes`; see
    fedrec/models/matrix_factorization.py.

    Args:
        inputs: How many items there are.
        config: `width` is that of the vectors.
    """

    def __init__(self, inputs: ModelInputs, config: ModelConfig) -> None:
        super().__init__()
        self.window, self.num_items = config.window, inputs.num_items
        self.item = nn.Embedding(inputs.num_items, config.width)
        self.item_bias = nn.Embedding(inputs.num_items, 1)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw the vectors from `generator`: normal 0.1; biases are 0."""
        nn.init.normal_(self.item.weight, std=0.1, generator=generator)
        nn.init.zeros_(self.item_bias.weight)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Tensor | None = None,
        shared: Tensor | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position, by the history up to there: padding behind it is never read."""
        history = batch["history"]
        asked = self.asked_items(batch, candidates, shared, items)
        seen = torch.arange(1, history.shape[1] + 1, device=history.device).unsqueeze(-1)
        mean = self.item(history).cumsum(dim=1) / seen
        scores: Tensor = mean @ self.item(asked).mT + self.item_bias(asked).mT
        return scores

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items after each whole history."""
        rows = torch.arange(len(batch["history"]), device=batch["history"].device)
        scores: Tensor = self(batch)[rows, batch["length"] - 1]
        return scores
