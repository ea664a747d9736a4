"""Neural collaborative filtering (NeuMF, He et al. 2017), federated as FedNCF is (Perifanis & Efraimidis 2022).

A score is a learnt mix of the product of a user's and an item's vector and of a perceptron's view of both. The user's
vectors never leave its client; the items' and all layers travel. FedNCF's secure averaging is the trust
`secure-aggregation`; where it averages an item over those who have it, the mean here is over the whole cohort.

A user that nobody trained on has no vectors, and no equation gives them as in matrix factorisation. To first order
around a user of zeros a score is linear in them, though: they are those of least squares (`fitted_factors`) under which
that part of the score is 1 for the items of the history and 0 for all others. Scores are then the network's.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.matrix_factorization import fitted_factors
from fedrec.models.recommender import MODELS, ModelInputs, Recommender, Scope


@MODELS.register("neural_cf")
class NeuralCF(Recommender):
    """Scores items for a user, the same after every position.

    Args:
        inputs: How many items, and users of one client.
        config: `width` numbers in each of a user's and an item's two vectors, and in the perceptron's first layer; each
            of its `layers` is half as wide as the one before.
        ridge: Penalty on the vectors of a user that nobody trained on, above 0.
        others: Weight of the items that such a user has not, at least 0.

    Raises:
        ConfigError: If an option is out of range.
    """

    scopes: ClassVar[Mapping[str, Scope]] = {"user_factor": Scope.CLIENT}

    def __init__(self, inputs: ModelInputs, config: ModelConfig, ridge: float = 0.1, others: float = 0.01) -> None:
        super().__init__()
        if not ridge > 0 or not others >= 0:
            message = f"model.options: ridge = {ridge}, others = {others}; should be above 0, and at least 0"
            raise ConfigError(message)
        self.ridge, self.others, self.width = ridge, others, config.width
        self.window, self.num_items = config.window, inputs.num_items
        # Both vectors of a user or an item lie side by side: the product's, and the perceptron's.
        self.user_factor = nn.Embedding(inputs.num_users, 2 * config.width)
        self.item_factor = nn.Embedding(inputs.num_items, 2 * config.width)
        widths = [max(1, config.width >> layer) for layer in range(config.layers)]
        # The first layer of a perceptron that reads both, in two parts.
        self.of_user = nn.Linear(config.width, config.width, bias=False)
        self.of_item = nn.Linear(config.width, config.width)
        self.hidden = nn.ModuleList(nn.Linear(wide, narrow) for wide, narrow in pairwise(widths))
        self.output = nn.Linear(config.width + widths[-1], 1)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`: normal, vectors of products of deviation 0.1, layers by their inputs."""
        deviation = (0.1 / self.width**0.5) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                std = deviation if "factor" in name else (2 / parameter.shape[1]) ** 0.5
                nn.init.normal_(parameter, std=std, generator=generator)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Tensor | None = None,
        shared: Tensor | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position: the same for a user of the client, by the history so far for any other."""
        asked, length = self.asked_items(batch, candidates, shared, items), batch["history"].shape[1]
        if "user" in batch:
            return self._match(self.user_factor(batch["user"]).unsqueeze(1), asked).expand(-1, length, -1)
        return self._match_each(self._fold_in(batch["history"]), asked)

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items for users of the client, or for users that nobody trained on."""
        rows = torch.arange(len(batch["history"]), device=batch["history"].device)
        if "user" in batch:
            users = self.user_factor(batch["user"])
        else:
            users = self._fold_in(batch["history"])[rows, batch["length"] - 1]
        everything = torch.arange(self.num_items, device=rows.device).expand(len(rows), -1)
        return self._match_each(users.unsqueeze(1), everything).squeeze(1)

    def _match(
        self, users: Float[Tensor, "batch length factors"], candidates: Tensor
    ) -> Float[Tensor, "batch length scores"]:
        """Return how well the candidates of each row fit its users."""
        items = self.item_factor(candidates).unsqueeze(1)
        (product, own), (factor, read) = (value.split(self.width, dim=-1) for value in (users.unsqueeze(2), items))
        hidden = relu(self.of_user(own) + self.of_item(read))
        for layer in self.hidden:
            hidden = relu(layer(hidden))
        scores: Tensor = self.output(torch.cat((product * factor, hidden), dim=-1)).squeeze(-1)
        return scores

    def _match_each(self, users: Tensor, candidates: Tensor) -> Tensor:
        """Return the same, row by row: hidden layers of each position and item of many rows would fill the memory."""
        found = [self._match(users[row : row + 1], candidates[row : row + 1]) for row in range(len(users))]
        return torch.cat(found) if found else users.new_empty(*users.shape[:2], candidates.shape[1])

    @torch.no_grad()
    def _fold_in(self, history: Tensor) -> Float[Tensor, "batch length factors"]:
        """Return the vectors of users that nobody trained on, after each position."""
        every = self._slopes()
        own = every[history]
        return fitted_factors(own, torch.ones_like(own[..., :1]), self.ridge, every, self.others)

    def _slopes(self) -> Float[Tensor, "items factors"]:
        """Return the gradient of each item's score with respect to a user's vectors, where these are 0."""
        factor, read = self.item_factor.weight[:, : self.width], self.item_factor.weight[:, self.width :]
        states = [relu(self.of_item(read))]
        for layer in self.hidden:
            states.append(relu(layer(states[-1])))
        mix = self.output.weight[0]
        back = mix[self.width :] * (states[-1] > 0)
        for layer, state in zip(reversed(self.hidden), reversed(states[:-1]), strict=True):
            back = back @ layer.get_parameter("weight") * (state > 0)
        return torch.cat((mix[: self.width] * factor, back @ self.of_user.weight), dim=-1)
