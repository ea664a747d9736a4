"""What a run makes of noisy item counts in the end: popularity, added to the item bias of the finished adapter.

Added after the training, because training undoes what it starts from: popularity raises the loss of a model that is too
sure of itself, and with it NDCG. The weight is picked by the validation users from a few.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.models.recommender import ITEM_BIAS

WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Of popularity in an item's score; 0 leaves the adapter as it is."""


def popularity(counts: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Return the centred logarithm of noisy counts, `[num_items]`: popularity is close to a power law.

    Args:
        counts: Noise included, so that some may be below 0, which counts as 0.
        deviation: Of that noise. Twice as much, or 1 if that is more, is added to each count: what noise may pass for,
            so that it makes no item popular that nobody has.
    """
    logs = np.log(np.maximum(counts, 0.0) + max(1.0, 2 * deviation))
    return np.asarray(logs - logs.mean())


def with_popularity(
    parameters: dict[str, Tensor],
    known: NDArray[np.float64],
    bias_scale: float,
    best_of: Callable[[Sequence[dict[str, Tensor]]], int],
) -> tuple[dict[str, Tensor], float]:
    """Return the adapter with popularity in its item bias, and its weight.

    Args:
        parameters: A finished adapter, with an item bias.
        known: How popular items are (see `popularity`), `[num_items]`.
        bias_scale: What the model multiplies its item bias by.
        best_of: Picks one of the adapters that differ in the weight, that of weight 0 first.
    """
    bias = parameters[ITEM_BIAS]
    added = [torch.from_numpy(weight * (known / bias_scale)).to(bias.dtype).reshape(bias.shape) for weight in WEIGHTS]
    tried = [parameters, *({**parameters, ITEM_BIAS: bias + more} for more in added[1:])]
    best = best_of(tried)
    return tried[best], WEIGHTS[best]
