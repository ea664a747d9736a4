"""What a neural control is: a module that learns from one platform's rows, epoch by epoch, and scores histories."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import Label, rng_for, torch_generator_for
from fedrec.data.interactions import IntArray
from fedrec.data.split import Queries
from fedrec.metrics.evaluation import Scores

MAX_ITEMS = 20_000
"""Items of a catalogue above which the scores of one batch, some 2 GB with their gradients, would take too much."""


class Learner(nn.Module, ABC):
    """A recommender in training. Its weights and all its draws are named: the same seed gives the same bits.

    Args:
        seed: Of all draws.
        *name: Of all draws: the control, and the platform that it learns from.
    """

    def __init__(self, seed: int, *name: Label) -> None:
        super().__init__()
        self._seed, self._name = seed, name

    @abstractmethod
    def learn_(self, epoch: int) -> None:
        """Pass once over the rows; the first epoch is 1. Without any example nothing is learnt."""

    @abstractmethod
    def score(self, histories: Sequence[IntArray]) -> Float[Tensor, "histories items"]:
        """Return the scores of all items for whoever has these histories, each of at least one item in time order."""

    def scores(self, queries: Queries) -> Scores:
        """Return `score` as a `Scorer` does."""
        with torch.inference_mode():
            found: Scores = self.score(queries.histories).numpy()
        return found

    def rng(self, *label: Label) -> np.random.Generator:
        """Return the numpy generator of a draw of this learner."""
        return rng_for(self._seed, *self._name, *label)

    def generator(self, *label: Label) -> torch.Generator:
        """Return the torch generator of a draw of this learner."""
        return torch_generator_for(self._seed, *self._name, *label)

    def batches(self, epoch: int, examples: int, size: int) -> Iterator[IntArray]:
        """Yield the places of all examples in a new order, `size` at a time; the last ones may be fewer."""
        order = self.rng("order", epoch).permutation(examples)
        return (order[first : first + size] for first in range(0, examples, size))


def descend_(optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> None:
    """Take one step down a loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def require_small(name: str, num_items: int) -> None:
    """Refuse a catalogue that is scored whole in every batch and too large for that.

    Raises:
        ConfigError: If it has more than `MAX_ITEMS` items.
    """
    if num_items > MAX_ITEMS:
        message = (
            f"{name} scores the whole catalogue in every batch: {num_items} items are too many, at most {MAX_ITEMS} "
            f"are allowed; leave {name!r} out of evaluation.controls"
        )
        raise ConfigError(message)
