"""BERT4Rec (Sun et al. 2019): a transformer that looks both ways and finds masked items; asked by a mask at the end.

Theirs are two blocks of two heads and width 64, windows of 200, the output layer, and the second kind of example, whose
last item alone is masked; the share of masked items is tuned, of what they found best for MovieLens and for games. With
fewer users than theirs, batches are of 16 windows instead of 256, all windows of a user are learnt from, and Adam's
rate is .001, without decay, instead of .0001. Norms stand before attention and feed-forward layers, not behind them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.progress import Progress
from fedrec.core.seeding import Label
from fedrec.data.interactions import IntArray, Interactions
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.controls.neural.early_stopping import Recipe, trained_control
from fedrec.evaluation.controls.neural.learner import Learner, descend_
from fedrec.evaluation.controls.neural.sequences import (
    PADDING,
    WIDTH,
    SequenceEncoder,
    draw_weights_,
    padded,
    windows,
)
from fedrec.evaluation.evaluator import Evaluator
from fedrec.run.job import Job

WINDOW = 200
HEADS = 2
DROPOUT = 0.2
LEARNING_RATE = 1e-3
BATCH = 16
LAST_ALONE = 0.1
"""Share of examples whose last item alone is masked, as it is when the model is asked."""


@CONTROLS.register("bert4rec")
def bert4rec_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Transformer over item ids that looks both ways, trained by masks."""
    return trained_control(RECIPE, job, evaluator, progress)


class Bert4Rec(Learner):
    """Scores what stands at a mask behind a history's last `WINDOW - 1` items; values are ignored.

    Args:
        rows: Training interactions.
        seed: Of all draws.
        *name: Of all draws.
        masked: Share of a window's items that are masked, in (0, 1).
    """

    def __init__(self, rows: Interactions, seed: int, *name: Label, masked: float) -> None:
        super().__init__(seed, *name)
        self._windows, self._masked = windows(rows, WINDOW), masked
        self.mask = rows.num_items
        generator = self.generator("start")
        self.encoder = SequenceEncoder(rows.num_items + 1, WINDOW, HEADS, DROPOUT, generator)
        self.output, self.bias = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.zeros(rows.num_items))
        draw_weights_(self.output, generator)
        self._optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    def learn_(self, epoch: int) -> None:
        """Take a step for each batch of windows, masked anew."""
        rng = self.rng("masks and dropout", epoch)
        for chosen in self.batches(epoch, len(self._windows), BATCH):
            own = [self._windows[place] for place in chosen]
            masks = pad_masks([masked_places(len(items), self._masked, rng) for items in own])
            draws = torch.from_numpy(rng.integers(2**32, size=len(chosen)))
            descend_(self._optimizer, self.loss(padded(own), masks, draws))

    def loss(self, items: Tensor, masks: Bool[Tensor, "batch length"], draws: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of what is masked in padded windows, `[batch, length]`."""
        return functional.cross_entropy(self._found(items.masked_fill(masks, self.mask), masks, draws), items[masks])

    def score(self, histories: Sequence[IntArray]) -> Tensor:
        """Return the scores of a mask behind the last item."""
        items = padded([np.append(history[1 - WINDOW :], self.mask) for history in histories])
        return self._found(items, items == self.mask)

    def _found(self, items: Tensor, at: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return the scores of all items at places of windows, `[places, items]`."""
        hidden = self.encoder(items, draws, (items != PADDING)[:, None, None, :])[at]
        return functional.gelu(self.output(hidden)) @ self.encoder.item.weight[: self.mask].T + self.bias


def masked_places(length: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which items of a window are masked: each with the chance `share`, or the last one alone.

    The last one alone in `LAST_ALONE` of the cases, and where no other would be: something has to be found.
    """
    masked = rng.random(length) < share
    if rng.random() < LAST_ALONE or not masked.any():
        masked[:] = False
        masked[-1] = True
    return masked


def pad_masks(masks: Sequence[NDArray[np.bool_]]) -> Bool[Tensor, "batch length"]:
    """Return masks as one tensor; padding is not masked."""
    return nn.utils.rnn.pad_sequence([torch.from_numpy(own) for own in masks], batch_first=True)


RECIPE = Recipe(
    name="bert4rec",
    make=Bert4Rec,
    grid={"masked": (0.2, 0.4)},
    epochs=100,
    patience=10,
    fixed_epochs=40,
    note=f"window {WINDOW}",
)
