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
from fedrec.data.platform import Stretches
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
    platforms: Stretches | None = None,
) -> int:
    """Train the open parameters on pooled examples; leaves those of the best epoch in the model.

    Without validation users (a loss of nan before any training) all epochs are run and the last one is kept. A batch
    has examples of one platform, which learn to rank its items; batches of all platforms take turns at random.

    Args:
        model: The recommender.
        task: What is learnt.
        examples: What the task draws from.
        settings: How long and how fast.
        seed: Seed of all draws.
        validation_loss: Of the model as it is.
        progress: Called after each check.
        platforms: Whose examples are scored among which items; all among all by default.

    Returns:
        The epoch kept; 0 if no training lowered the validation loss.
    """
    trained = trained_parameters(model)
    optimizer = torch.optim.Adam(trained.values(), lr=settings.lr)
    progress(settings.label, 0, settings.epochs)
    parts = platforms or [(range(model.num_items), range(len(examples)))]
    best_loss, best_epoch, best = validation_loss(), 0, _copy(trained)
    for epoch in range(1, settings.epochs + 1):
        _epoch(model, task, optimizer, examples, parts, seed, (settings.label, epoch))
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
    parts: Stretches,
    seed: int,
    name: tuple[str, int],
) -> None:
    order = rng_for(seed, "order", *name)
    batches = [
        (items, chosen[start : start + BATCH])
        for items, places in parts
        for chosen in [places.start + order.permutation(len(places))]
        for start in range(0, len(chosen), BATCH)
    ]
    turns = range(len(batches)) if len(parts) == 1 else order.permutation(len(batches))
    windows = rng_for(seed, "window", *name)
    for number, turn in enumerate(turns):
        items, chosen = batches[turn]
        batch = task.collate(task.draw(examples, chosen, windows))
        sample = task.sample(rng_for(seed, "negatives", *name, number * BATCH), items)
        optimizer.zero_grad()
        task.losses(model, batch, sample, items).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _copy(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}
