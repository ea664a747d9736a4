"""What a run makes of noisy item counts in the end: popularity, added to the item bias of the finished adapter.

Added after the training, because training undoes what it starts from: popularity raises the loss of a model that is too
sure of itself, and with it NDCG. The weight is picked by the validation users, who consented, from a few.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.evaluation.judge import RANKED, Judge

WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Of popularity in an item's score; 0 leaves the adapter as it is."""

BIAS = "item_bias.weight"


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
    parameters: dict[str, Tensor], counts: NDArray[np.float64], deviation: float, judge: Judge
) -> tuple[dict[str, Tensor], float]:
    """Return the adapter with popularity in its item bias, and its weight: the one with the best mean NDCG.

    The first of equals; without validation users 0, the adapter as it is.

    Args:
        parameters: A finished adapter, with an item bias.
        counts: Noisy counts, `[num_items]`.
        deviation: Of their noise.
        judge: Asks the validation users.
    """
    bias = parameters[BIAS]
    known = popularity(counts, deviation) / judge.bench.model.bias_scale
    best, best_weight, best_score = parameters, 0.0, _score(judge, parameters)
    for weight in WEIGHTS[1:]:
        added = torch.from_numpy(weight * known).to(bias.dtype).reshape(bias.shape)
        tried = {**parameters, BIAS: bias + added}
        if (score := _score(judge, tried)) > best_score:
            best, best_weight, best_score = tried, weight, score
    return best, best_weight


def _score(judge: Judge, parameters: dict[str, Tensor]) -> float:
    """Return NDCG of the validation users, averaged over the targets; 0 without such users."""
    found = [evaluation.means[f"ndcg@{RANKED}"] for evaluation in judge.validate(parameters).values()]
    return float(np.mean(found)) if found else 0.0
