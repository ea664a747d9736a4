"""Which items a user did not click: drawn from the catalogue, or seen and given a low value.

Drawn items are any of the catalogue, by name and without a look at anybody's interactions; one that the example itself
holds is then not called unclicked. In training a step's clients share the draw, so a click is compared with the mean
over many; where nothing is drawn, for the loss of held-out users, that mean is over all items: what is expected of it.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.data.split import any_items
from fedrec.models.recommender import Recommender
from fedrec.tasks.base import Batch
from fedrec.tasks.windows import IGNORED

DRAWN_A_STEP = 256
"""Items that a step's clicks are compared with: few beside a window's own work, and their mean is steady."""


class Unclicked(ABC):
    """Where unclicked items come from.

    Attributes:
        share: Of clicks among all pairs, as far as nobody's data decide it.
        scores_pairs: Whether each position is scored for one item alone.
    """

    share: float
    scores_pairs: ClassVar[bool] = False

    @abstractmethod
    def scored(self, positions: int) -> int:
        """Return the scores that each position of an example of this size takes."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, items: range) -> Tensor | None:
        """Return what all clients of a step share."""

    @abstractmethod
    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range, prior: float
    ) -> Float[Tensor, " batch"]:
        """Return the cross-entropy of each example's pairs, averaged over them; 0 for an example without any.

        Args:
            model: The recommender.
            batch: As the task collates it.
            sample: As of `sample`; None for the whole catalogue.
            items: What may be recommended.
            prior: The logit of a score of 0.
        """

    @abstractmethod
    def pairs(
        self, user: int, history: IntArray, targets: IntArray, clicked: NDArray[np.bool_], num_items: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the items that a held-out user is asked about, and whether each was clicked.

        Args:
            user: Index of the user.
            history: What the recommender sees of it.
            targets: What came later.
            clicked: Whether each of these is a click.
            num_items: Size of the catalogue.
        """


class Drawn(Unclicked):
    """Items of the catalogue, so many for each click; what was seen and is no click is left out.

    Args:
        per_click: How many, at least 1.
    """

    def __init__(self, per_click: int) -> None:
        self.per_click, self.share = per_click, 1 / (1 + per_click)

    def scored(self, positions: int) -> int:
        """Return the example's own targets, and the step's draw."""
        return positions + DRAWN_A_STEP

    def sample(self, rng: np.random.Generator, items: range) -> Tensor:
        """Return the step's draw."""
        return torch.from_numpy(items.start + any_items(rng, len(items), DRAWN_A_STEP))

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range, prior: float
    ) -> Float[Tensor, " batch"]:
        """Return the mean over clicks of `(click's loss + per_click * others' mean loss) / (1 + per_click)`."""
        wanted = batch["target"].clamp(min=items.start)
        if sample is None:
            others = torch.arange(items.start, items.stop, device=wanted.device)
            rest: Tensor = model(batch, items=items)
            positive = rest.gather(-1, (wanted - items.start).unsqueeze(-1)).squeeze(-1)
        else:
            others, length = sample, wanted.shape[-1]
            scores: Tensor = model(batch, wanted, sample)
            positive, rest = scores[..., :length].diagonal(dim1=-2, dim2=-1), scores[..., length:]
        own = (others[:, None] == batch["own"][:, None, :]).any(dim=-1)
        unclicked = (~own).to(rest.dtype).unsqueeze(1)
        against = -(logsigmoid(-(prior + rest)) * unclicked).sum(dim=-1) / unclicked.sum(dim=-1).clamp(min=1)
        losses = (self.per_click * against - logsigmoid(prior + positive)) / (1 + self.per_click)
        return _mean(losses, batch["clicked"].to(losses.dtype))

    def pairs(
        self, user: int, history: IntArray, targets: IntArray, clicked: NDArray[np.bool_], num_items: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the clicks, and unclicked items among all others, drawn with replacement by the user's name.

        The draw knows no recommender, seed or round, so all are asked the same. Without other items there is none.
        """
        clicks = targets[clicked]
        left = np.ones(num_items, dtype=bool)
        left[history] = left[targets] = False
        unseen = np.flatnonzero(left)
        drawn = any_items(rng_for(0, "unclicked", user), max(1, len(unseen)), self.per_click * len(clicks))
        others = unseen[drawn] if len(unseen) else unseen
        return np.concatenate((clicks, others)), np.arange(len(clicks) + len(others)) < len(clicks)


class Below(Unclicked):
    """What a user saw and gave a value below the threshold."""

    share = 0.5
    scores_pairs: ClassVar[bool] = True

    def scored(self, positions: int) -> int:
        """Return the example's own targets: each is scored after each position."""
        return max(1, positions)

    def sample(self, rng: np.random.Generator, items: range) -> None:
        """Return nothing: all pairs are the example's own."""
        del rng, items

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range, prior: float
    ) -> Float[Tensor, " batch"]:
        """Return the mean over all targets, clicked or not."""
        del sample, items
        logits = prior + model.pairs(batch, batch["target"].clamp(min=0))
        clicked = batch["clicked"].to(logits.dtype)
        losses = -clicked * logsigmoid(logits) - (1 - clicked) * logsigmoid(-logits)
        return _mean(losses, (batch["target"] != IGNORED).to(logits.dtype))

    def pairs(
        self, user: int, history: IntArray, targets: IntArray, clicked: NDArray[np.bool_], num_items: int
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the targets as they are."""
        del user, history, num_items
        return targets, clicked


def _mean(losses: Float[Tensor, "batch length"], weight: Float[Tensor, "batch length"]) -> Float[Tensor, " batch"]:
    means: Tensor = (losses * weight).sum(dim=-1) / weight.sum(dim=-1).clamp(min=1)
    return means
