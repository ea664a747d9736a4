"""A trained model as a scorer: batches of histories to scores of the whole catalogue, and its validation loss."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedrec.data.examples import Examples
from fedrec.data.interactions import IntArray
from fedrec.evaluation.ranking import Scorer
from fedrec.training.objective import example_losses

BATCH = 128


def model_scorer(model: nn.Module) -> Scorer:
    """Return the scorer of the model as it is now; histories are cut to its window."""

    def score(histories: Sequence[IntArray]) -> NDArray[np.float32]:
        window = int(model.window)  # type: ignore[arg-type]
        cuts = [history[-window:] for history in histories]
        lengths = torch.tensor([len(cut) for cut in cuts])
        padded = torch.zeros(len(cuts), int(lengths.max()), dtype=torch.int64)
        for row, cut in enumerate(cuts):
            padded[row, : len(cut)] = torch.from_numpy(cut)
        with torch.inference_mode():
            scores: NDArray[np.float32] = model.score_all(model.last_hidden(padded, lengths)).numpy()  # type: ignore[operator]
        return scores

    return score


def mean_loss(model: nn.Module, examples: Examples) -> float:
    """Return the mean loss of held-out sequences in nats, each user's last window; nan without examples."""
    losses = []
    with torch.inference_mode():
        for start in range(0, len(examples), BATCH):
            history, target = examples.last_windows(np.arange(start, min(start + BATCH, len(examples))))
            losses.append(example_losses(model, history, target, None))
    return float(torch.cat(losses).mean()) if losses else float("nan")
