"""A trained model as a scorer: batches of histories to scores of the whole catalogue, and its validation loss."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.examples import Examples
from fedrec.data.interactions import IntArray
from fedrec.evaluation.ranking import Scorer
from fedrec.models.backbone import Backbone
from fedrec.training.objective import example_losses, rows_at_once

BATCH = 128


def model_scorer(model: Backbone) -> Scorer:
    """Return the scorer of the model as it is now; histories have at least one item and are cut to its window."""

    def score(histories: Sequence[IntArray]) -> NDArray[np.float32]:
        cuts = [history[-model.window :] for history in histories]
        lengths = [len(cut) for cut in cuts]
        padded = np.zeros((len(cuts), max(lengths)), dtype=np.int64)
        for row, cut in zip(padded, cuts, strict=True):
            row[: len(cut)] = cut
        with torch.inference_mode():
            hidden = model.last_hidden(torch.from_numpy(padded), torch.tensor(lengths))
            scores: NDArray[np.float32] = model.score_all(hidden).numpy()
        return scores

    return score


def user_losses(model: Backbone, examples: Examples) -> Tensor:
    """Return the loss of each held-out sequence in nats, its last window, `[sequences]`; empty without examples.

    The softmax runs over the whole catalogue, and prefixes are judged as the sequences they were cut from: a loss
    means the same whatever was trained on.
    """
    whole = examples.sequences()
    batch = min(BATCH, rows_at_once(model.window, len(model.item_vectors)))
    losses = [torch.empty(0)]
    with torch.inference_mode():
        for start in range(0, len(whole), batch):
            history, target = whole.last_windows(np.arange(start, min(start + batch, len(whole))))
            losses.append(example_losses(model, history, target, None))
    return torch.cat(losses)


def mean_loss(model: Backbone, examples: Examples) -> float:
    """Return the mean of `user_losses`; nan without examples."""
    return float(user_losses(model, examples).mean())


def finite(scorer: Scorer) -> Scorer:
    """Return a scorer that ranks by whatever is finite: no error then tells whose history made a score overflow."""

    def score(histories: Sequence[IntArray]) -> NDArray[np.float32]:
        return np.nan_to_num(scorer(histories))

    return score
