"""Matrix factorisation whose clients keep nothing: users' factors are reconstructed in each step (FedRecon).

Singhal et al. 2021 (algorithm 1): a client splits its data into a support and a query set, fits its private factors on
the support set under the items that it was sent, and trains the items on the query set with these factors held fixed.
What it fitted is forgotten, so a client may take part once. With `training.example = "later_half"` the support is the
earlier half of a user's window and the query the later one; with whole sequences each item is a query whose support is
all before it. A user that nobody trained on is served in the same way, with its whole history as support.

The factors solve a least-squares problem exactly (`matrix_factorization`), in place of the authors' gradient steps from
a random start at a rate of .1. Their other settings: width 50, explicit ratings, 100 clients in each of 500 rounds,
local rate .5, server rate 1.

What a user's example adds to a gradient follows from that example alone, factors included, so it is clipped, noised and
priced as with any other model.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from fedrec.experiment.config import ModelConfig
from fedrec.models.matrix_factorization import MatrixFactorization
from fedrec.models.recommender import MODELS, ModelInputs, Scope


@MODELS.register("reconstructed_factorization")
class ReconstructedFactorization(MatrixFactorization):
    """Matrix factorisation with no factors of users among its parameters.

    Args:
        inputs: How many items.
        config: `width` is the number of factors.
        **options: As of `matrix_factorization`; those for users that nobody trained on hold for all.

    Raises:
        ConfigError: If an option is out of range.
    """

    scopes: ClassVar[Mapping[str, Scope]] = {}

    def __init__(self, inputs: ModelInputs, config: ModelConfig, **options: Any) -> None:
        super().__init__(inputs, config, **options)
        del self.user_factor

    def _factors(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch length width"]:
        """Return the factors fitted on the support, through which no gradient goes.

        That is all before each position, or before the first target where the batch says which that is.
        """
        with torch.no_grad():
            fitted = self._fold_in(batch)
            if "first" not in batch or "user" not in batch:
                return fitted
            place = batch["first"].view(-1, 1, 1).expand(-1, 1, fitted.shape[-1])
            return fitted.gather(1, place)
