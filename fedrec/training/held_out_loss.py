"""The loss of sequences that nobody trained on."""

import numpy as np
import torch
from torch import Tensor

from fedrec.data.examples import Examples
from fedrec.models.backbone import Backbone
from fedrec.training.objective import example_losses, rows_at_once

BATCH = 128


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
