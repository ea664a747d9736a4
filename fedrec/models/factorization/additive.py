"""Items as the sum of two vectors, one that all share and one of each client's own (FedRAP, Li et al. 2024).

The sum is what a client scores with; the shared table travels, the personal one never leaves. A user that nobody
trained on is served by the shared table alone, with the factors that explain its history best under it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedrec.experiment.config import ModelConfig
from fedrec.models.matrix_factorization import MatrixFactorization
from fedrec.models.recommender import MODELS, ModelInputs, Scope


@MODELS.register("additive_factorization")
class AdditiveFactorization(MatrixFactorization):
    """Matrix factorisation whose items have a vector of the client's own beside the one that travels.

    Personal vectors start at 0, so a client starts with what all have; the reference code draws them. Where one model
    has all users (the control `central`, a pretrained base) the personal table is everybody's, and held-out users do
    without it.

    Args:
        inputs: How many items, and users of one client.
        config: `width` is the number of factors.
        **options: As of `matrix_factorization`.

    Raises:
        ConfigError: If an option is out of range.
    """

    scopes: ClassVar[Mapping[str, Scope]] = {"user_factor": Scope.CLIENT, "personal_item_factor": Scope.CLIENT}

    def __init__(self, inputs: ModelInputs, config: ModelConfig, **options: Any) -> None:
        super().__init__(inputs, config, **options)
        self.personal_item_factor = nn.Embedding(inputs.num_items, config.width)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw what matrix factorisation has; personal vectors are 0."""
        super().reset_parameters_(generator)
        nn.init.zeros_(self.personal_item_factor.weight)

    def _items(self, items: Tensor, batch: Mapping[str, Tensor]) -> Float[Tensor, "*items width"]:
        """Return the sum of both vectors for the client's own users, and the shared one for any other."""
        shared: Tensor = self.item_factor(items)
        return shared + self.personal_item_factor(items) if "user" in batch else shared
