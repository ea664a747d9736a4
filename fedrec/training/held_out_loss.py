"""The loss of users that nobody trained on."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fedrec.data.platform import Stretches
from fedrec.models.recommender import Recommender
from fedrec.tasks import Batch, Task
from fedrec.tasks.base import rows_at_once

BATCH = 128


def user_losses(model: Recommender, task: Task, judged: Sequence[Any], platforms: Stretches | None = None) -> Tensor:
    """Return the loss of each held-out user, `[users]`; empty without any.

    It is computed in full, whatever is sampled in training, so a loss means the same whatever was trained on.

    Args:
        model: The recommender.
        task: What is learnt.
        judged: An example a user, as the task's `judged` returns them.
        platforms: Whose examples are scored among which items; all among all by default.
    """
    losses = [torch.empty(0)]
    with torch.inference_mode():
        for items, places in platforms or [(range(model.num_items), range(len(judged)))]:
            most = min(BATCH, rows_at_once(model.window * len(items)))
            for start in range(places.start, places.stop, most):
                part = judged[start : min(start + most, places.stop)]
                losses.append(task.losses(model, unknown(task.collate(part)), None, items))
    return torch.cat(losses)


def unknown(batch: Batch) -> Batch:
    """Return a batch of users that nobody trained on: the model has nothing of their own."""
    return {name: value for name, value in batch.items() if name != "user"}


def mean_loss(model: Recommender, task: Task, judged: Sequence[Any], platforms: Stretches | None = None) -> float:
    """Return the mean of `user_losses`; nan without users."""
    return float(user_losses(model, task, judged, platforms).mean())
