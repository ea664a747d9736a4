"""SASRec (Kang & McAuley 2018) with the softmax over all items as its loss (Klenitskiy & Vasilev 2023, SASRec+).

Theirs are the width of 64, two blocks of one head, vectors of items shared by input and output, windows of 200, Adam
at .001, 100 epochs at most and a patience of 10. With fewer users than theirs, batches are of 16 windows instead of
128, all windows of a user are learnt from instead of the last, and dropout, .1 there and .2 to .5 in Kang & McAuley, is
tuned.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fedrec.core.progress import Progress
from fedrec.core.seeding import Label
from fedrec.data.interactions import IntArray, Interactions
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.controls.neural.early_stopping import Recipe, trained_control
from fedrec.evaluation.controls.neural.learner import Learner, descend_
from fedrec.evaluation.controls.neural.sequences import PADDING, SequenceEncoder, padded, windows
from fedrec.evaluation.evaluator import Evaluator
from fedrec.run.job import Job

WINDOW = 200
HEADS = 1
LEARNING_RATE = 1e-3
BATCH = 16


@CONTROLS.register("sasrec")
def sasrec_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Causal transformer over item ids, full softmax."""
    return trained_control(RECIPE, job, evaluator, progress)


class SasRec(Learner):
    """Scores what comes after a history's last `WINDOW` items; values are ignored.

    Args:
        rows: Training interactions; users with fewer than two add nothing.
        seed: Of all draws.
        *name: Of all draws.
        dropout: Share of values dropped in training, below 1.
    """

    def __init__(self, rows: Interactions, seed: int, *name: Label, dropout: float) -> None:
        super().__init__(seed, *name)
        self._windows = windows(rows, WINDOW + 1, overlap=1)
        self.encoder = SequenceEncoder(rows.num_items, WINDOW, HEADS, dropout, self.generator("start"))
        self._optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    def learn_(self, epoch: int) -> None:
        """Take a step for each batch of windows."""
        rng = self.rng("dropout", epoch)
        for chosen in self.batches(epoch, len(self._windows), BATCH):
            items = padded([self._windows[place] for place in chosen])
            draws = torch.from_numpy(rng.integers(2**32, size=len(chosen)))
            descend_(self._optimizer, self.loss(items, draws))

    def loss(self, items: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy of every item of padded windows, `[batch, length]`, given those before it."""
        past, target = items[:, :-1], items[:, 1:]
        found = target != PADDING
        hidden = self.encoder(past, draws)[found]
        return functional.cross_entropy(hidden @ self.encoder.item.weight.T, target[found])

    def score(self, histories: Sequence[IntArray]) -> Tensor:
        """Return the scores after the last item."""
        cuts = [history[-WINDOW:] for history in histories]
        last = torch.tensor([len(cut) - 1 for cut in cuts])
        hidden = self.encoder(padded(cuts))[torch.arange(len(cuts)), last]
        scores: Tensor = hidden @ self.encoder.item.weight.T
        return scores


RECIPE = Recipe(
    name="sasrec",
    make=SasRec,
    grid={"dropout": (0.2, 0.5)},
    epochs=100,
    patience=10,
    fixed_epochs=20,
    note=f"window {WINDOW}, full softmax",
)
