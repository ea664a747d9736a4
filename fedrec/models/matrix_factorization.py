"""Matrix factorisation: a user's factors times an item's, plus the item's bias (Koren, Bell & Volinsky 2009).

Item factors and biases travel; a user's factors never leave its client (FCF, Ammad-ud-din et al. 2019). No text is
read, and no order. A user that nobody trained on gets the factors that explain its history best under the trained
items: weighted least squares with all other items as zeros (Hu, Koren & Volinsky 2008, equation 4), or of the ratings
alone.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.recommender import ITEM_BIAS, MODELS, ModelInputs, Recommender, Scope

FEEDBACK = ("implicit", "explicit")


@MODELS.register("matrix_factorization")
class MatrixFactorization(Recommender):
    """Scores items for a user, the same after every position.

    Args:
        inputs: How many items, and users of one client.
        config: `width` is the number of factors.
        feedback: What a history says of a user that nobody trained on: "implicit", that it has these items and no
            others, or "explicit", how it rates them.
        ridge: Penalty on that user's factors, above 0.
        others: Weight of the items that it has not, with implicit feedback; at least 0.
        bias: Whether items have a bias.

    Raises:
        ConfigError: If an option is out of range.
    """

    scopes: ClassVar[Mapping[str, Scope]] = {"user_factor": Scope.CLIENT}

    def __init__(  # noqa: PLR0913, PLR0917 - its options
        self,
        inputs: ModelInputs,
        config: ModelConfig,
        feedback: str = "implicit",
        ridge: float = 0.1,
        others: float = 0.01,
        bias: bool = True,  # noqa: FBT001, FBT002 - an option of the experiment, given by name
    ) -> None:
        super().__init__()
        if feedback not in FEEDBACK or not ridge > 0 or not others >= 0:
            message = (
                f"model.options: feedback = {feedback!r}, ridge = {ridge}, others = {others}; should be one of "
                f"{', '.join(FEEDBACK)}; above 0; and at least 0"
            )
            raise ConfigError(message)
        self.reads = frozenset({"value"} if feedback == "explicit" else ())
        self.feedback, self.ridge, self.others = feedback, ridge, others
        self.window, self.num_items = config.window, inputs.num_items
        self.item_factor = nn.Embedding(inputs.num_items, config.width)
        self.item_bias = nn.Embedding(inputs.num_items, 1) if bias else None
        self.user_factor = nn.Embedding(inputs.num_users, config.width)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every factor from `generator`: normal, such that products have deviation 0.1; biases are 0."""
        deviation = (0.1 / self.item_factor.embedding_dim**0.5) ** 0.5
        if self.item_bias is not None:
            nn.init.zeros_(self.item_bias.weight)
        for name, parameter in self.named_parameters():
            if name != ITEM_BIAS:
                nn.init.normal_(parameter, std=deviation, generator=generator)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Tensor | None = None,
        shared: Tensor | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position: the same for a user of the client, by the history so far for any other."""
        asked = self.asked_items(batch, candidates, shared, items)
        scores: Tensor = self._factors(batch) @ self._items(asked, batch).mT
        if self.item_bias is not None:
            scores = scores + self.item_bias(asked).mT
        return scores.expand(-1, batch["history"].shape[1], -1)

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items for users of the client, or for users that nobody trained on."""
        factors, rows = self._factors(batch), torch.arange(len(batch["history"]), device=batch["history"].device)
        whole = factors[rows, batch["length"] - 1] if factors.shape[1] > 1 else factors.squeeze(1)
        scores: Tensor = whole @ self._items(torch.arange(self.num_items, device=rows.device), batch).T
        return scores if self.item_bias is None else scores + self.item_bias.weight.squeeze(-1)

    def _factors(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch length width"]:
        """Return the users' factors after each position; of one position where they are the same after all."""
        return self.user_factor(batch["user"]).unsqueeze(1) if "user" in batch else self._fold_in(batch)

    def _items(self, items: Tensor, batch: Mapping[str, Tensor]) -> Float[Tensor, "*items width"]:
        """Return the items' factors as the users of the batch see them: all alike."""
        del batch
        factors: Tensor = self.item_factor(items)
        return factors

    def _fold_in(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch length width"]:
        """Return `(others * Q'Q + Q_h'Q_h + ridge * I)^-1 Q_h' y` for the items `Q_h` up to each position."""
        history, explicit = batch["history"], self.feedback == "explicit"
        own, every = self.item_factor(history), self.item_factor.weight
        wanted = torch.ones_like(own[..., :1])
        if explicit:
            wanted = batch["value"].to(own).unsqueeze(-1)
            if self.item_bias is not None:
                wanted = wanted - self.item_bias(history)
        return fitted_factors(own, wanted, self.ridge, every, 0.0 if explicit else self.others)


def fitted_factors(
    own: Float[Tensor, "batch length width"],
    wanted: Float[Tensor, "batch length 1"],
    ridge: float,
    every: Float[Tensor, "items width"],
    others: float,
) -> Float[Tensor, "batch length width"]:
    """Return the users' factors that explain their histories best, after each position.

    Args:
        own: Factors of the items of the histories.
        wanted: What a user's factors times these should be.
        ridge: Penalty on the user's factors, above 0.
        every: Factors of all items, with which the product should be 0.
        others: How much the latter weighs; at least 0.
    """
    gram = (own.unsqueeze(-1) * own.unsqueeze(-2)).cumsum(dim=1)
    gram = gram + ridge * torch.eye(own.shape[-1], dtype=own.dtype, device=own.device)
    if others:
        gram = gram + others * (every.T @ every)
    solved: Tensor = torch.linalg.solve(gram, (own * wanted).cumsum(dim=1))
    return solved
