"""NewTask: the next item, learnt by comparing it with a few others (Rendle et al. 2009, BPR)."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from fedrec.core.errors import ConfigError
from fedrec.data.split import any_items
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import Recommender
from fedrec.tasks import Batch
from fedrec.tasks.next_item import NextItem
from fedrec.tasks.windows import IGNORED


class NewTask(NextItem):
    """Examples and judgement are those of next-item recommendation; the loss compares pairs of items.

    Args:
        experiment: What is computed.
        others: With how many items each target is compared, at least 1; all clients of a step share them.

    Raises:
        ConfigError: If there is no such number.
    """

    def __init__(self, experiment: Experiment, others: int = 8) -> None:
        super().__init__(experiment)
        if isinstance(others, bool) or not isinstance(others, int) or others < 1:
            message = f"task.options.others = {others!r}: should be a whole number, at least 1"
            raise ConfigError(message)
        self.others = others

    def scored(self, positions: int, items: int) -> int:
        """Return how many scores each position takes: the example's targets, and the others."""
        del items
        return positions + self.others

    def sample(self, rng: np.random.Generator, items: range) -> Tensor:
        """Return the items that a step's targets are compared with."""
        return torch.from_numpy(items.start + any_items(rng, len(items), min(self.others, len(items))))

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's mean of `-log sigmoid(score of the target - score of another)`.

        Without a sample, on held-out users, the others are all items.
        """
        items, target = items or range(model.num_items), batch["target"]
        known, wanted = target != IGNORED, target.clamp(min=items.start)
        others = torch.arange(items.start, items.stop) if sample is None else sample
        scores: Tensor = model(batch, wanted, others)
        length = wanted.shape[1]
        positive = scores[:, :, :length].diagonal(dim1=1, dim2=2)
        pairs = -logsigmoid(positive[:, :, None] - scores[:, :, length:]).mean(dim=2)
        weight = known.to(pairs.dtype)
        means: Tensor = (pairs * weight).sum(dim=1) / weight.sum(dim=1)
        return means
