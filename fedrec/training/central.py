"""Central training of the same model: the base's pretraining, and the control that federation is measured against.

Mini-batch Adam, without privacy. Validation users pick the epoch (their loss, which is far less noisy than a ranking
metric of few users); training stops when it has not improved for `patience` checks.
"""

import math
from collections.abc import Callable, Sized
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedrec.core.progress import Progress, silent
from fedrec.core.seeding import rng_for
from fedrec.models.adapters import load_parameters_, trained_parameters
from fedrec.models.recommender import Recommender
from fedrec.tasks import Task

BATCH = 64
CHECK_EVERY = 2


@dataclass(frozen=True)
class CentralSettings:
    """How long and how fast.

    Attributes:
        epochs: Most passes over the examples.
        lr: Adam's learning rate.
        patience: Checks (one every 2 epochs) without improvement before stopping.
        label: Name of the work, for its progress bar and its draws.
    """

    epochs: int
    lr: float
    patience: int
    label: str


def train_centrally_(  # noqa: PLR0913, PLR0917 (two callers, and every argument is the work itself)
    model: Recommender,
    task: Task,
    examples: Sized,
    settings: CentralSettings,
    seed: int,
    validation_loss: Callable[[], float],
    progress: Progress = silent,
) -> int:
    """Train the open parameters on pooled examples; leaves those of the best epoch in the model.

    Without validation users (a loss of nan before any training) all epochs are run and the last one is kept.

    Returns:
        The epoch kept; 0 if no training lowered the validation loss.
    """
    trained = trained_parameters(model)
    optimizer = torch.optim.Adam(trained.values(), lr=settings.lr)
    progress(settings.label, 0, settings.epochs)
    best_loss, best_epoch, best = validation_loss(), 0, _copy(trained)
    for epoch in range(1, settings.epochs + 1):
        _epoch(model, task, optimizer, examples, seed, (settings.label, epoch))
        if epoch % CHECK_EVERY == 0 or epoch == settings.epochs:
            loss = validation_loss()
            progress(settings.label, epoch, settings.epochs, f"loss {loss:.3f}")
            if loss < best_loss or math.isnan(best_loss):
                best_loss, best_epoch, best = loss, epoch, _copy(trained)
            elif epoch - best_epoch >= settings.patience * CHECK_EVERY:
                progress(settings.label, settings.epochs, settings.epochs, f"stopped at epoch {epoch}")
                break
    load_parameters_(model, best)
    return best_epoch


def _epoch(  # noqa: PLR0913, PLR0917 (what the work is)
    model: Recommender,
    task: Task,
    optimizer: torch.optim.Optimizer,
    examples: Sized,
    seed: int,
    name: tuple[str, int],
) -> None:
    order = rng_for(seed, "order", *name).permutation(len(examples))
    windows = rng_for(seed, "window", *name)
    for start in range(0, len(order), BATCH):
        batch = task.collate(task.draw(examples, order[start : start + BATCH], windows))
        sample = task.sample(rng_for(seed, "negatives", *name, start), range(model.num_items))
        optimizer.zero_grad()
        task.losses(model, batch, sample).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _copy(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}
