"""The linear branch of a finished recommender: its weights, and the gain that the validation users pick.

The gain is picked after the training, because training users are no judges of it: their own pairs are in the counts.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.experiment.config import LinearConfig
from fedrec.models.linear.branch import GAIN, WEIGHTS
from fedrec.models.linear.item_item import ease_weights_

GAINS = (0.0, 2.5, 5.0, 10.0, 20.0, 40.0)
"""Of the branch in an item's score; 0 leaves the model alone."""


def with_linear_branch(
    parameters: dict[str, Tensor],
    counts: NDArray[np.float64],
    config: LinearConfig,
    best_of: Callable[[Sequence[dict[str, Tensor]]], int],
) -> tuple[dict[str, Tensor], float]:
    """Return the parameters with a linear branch beside them, and its gain.

    Args:
        parameters: Of a finished recommender.
        counts: How many users have both of two items, `[items, items]`; it is overwritten.
        config: Ridge penalty and decay.
        best_of: Picks one of the parameters that differ in the gain, those of gain 0 first.

    Raises:
        ConfigError: If no weights can be made of the counts.
    """
    tried = [{**parameters, **branch} for branch in branches(counts, config)]
    best = best_of(tried)
    return tried[best], GAINS[best]


def branches(counts: NDArray[np.float64], config: LinearConfig) -> list[dict[str, Tensor]]:
    """Return the branch of these counts with each gain, all with one array of weights.

    Raises:
        ConfigError: If no weights can be made of the counts.
    """
    weights = torch.from_numpy(ease_weights_("linear", counts, config.l2).astype(np.float32))
    return [{WEIGHTS: weights, GAIN: torch.tensor(gain)} for gain in GAINS]
