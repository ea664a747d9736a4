"""LightGCN (He et al. 2020): vectors of users and items, averaged along the graph of who touched what; BPR loss.

Theirs are three layers whose mean is taken, width 64, the penalty on the vectors before any layer, and, in their code,
batches of 2,048 pairs, a start of .1 and a patience of 50 epochs. Adam's rate is .005 instead of .001, for an epoch of
a small table has few batches. A pair's other item is any of the catalogue, drawn anew in every epoch.

Their users are in the graph; users who are held out are not. Such a user is folded in as the mean of its items'
vectors, which depend on training users alone. Validation users of MovieLens-100K preferred that to a sum of the items'
first three layers, each divided by the root of the item's degree: what the graph would tell a user without a vector.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.progress import Progress
from fedrec.core.seeding import Label
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.split import any_items
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.controls.neural.early_stopping import Recipe, trained_control
from fedrec.evaluation.controls.neural.learner import Learner, descend_
from fedrec.evaluation.evaluator import Evaluator
from fedrec.models.linear.histories import binary_histories, touched_by
from fedrec.run.job import Job

WIDTH, LAYERS = 64, 3
LEARNING_RATE = 5e-3
BATCH = 2_048


@CONTROLS.register("lightgcn")
def lightgcn_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Vectors averaged along the graph of users and items."""
    return trained_control(RECIPE, job, evaluator, progress)


class LightGcn(Learner):
    """Order, repeats and values are ignored.

    Args:
        rows: Training interactions.
        seed: Of all draws.
        *name: Of all draws.
        penalty: On the squared length of the vectors of a batch, at least 0.
    """

    def __init__(self, rows: Interactions, seed: int, *name: Label, penalty: float) -> None:
        super().__init__(seed, *name)
        touched = touched_by(rows)
        self._pairs, self._num_users = torch.from_numpy(np.stack(touched.nonzero())), rows.num_users
        self._num_items, self._penalty = rows.num_items, penalty
        self._graph = _torch(normalised(touched))
        start = torch.empty(rows.num_users + rows.num_items, WIDTH)
        self.vectors = nn.Parameter(start.normal_(std=0.1, generator=self.generator("start")))
        self._optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    def learn_(self, epoch: int) -> None:
        """Take a step for each batch of pairs."""
        others = any_items(self.rng("others", epoch), self._num_items, self._pairs.shape[1])
        for chosen in self.batches(epoch, self._pairs.shape[1], BATCH):
            user, item = self._pairs[:, chosen]
            descend_(self._optimizer, self.loss(user, item, torch.from_numpy(others[chosen])))

    def loss(self, user: Tensor, item: Tensor, other: Tensor) -> Tensor:
        """Return the mean of `-log sigmoid(x_ui - x_uj)`, `j` being the other item, and the penalty (eq. 15)."""
        places = torch.stack((user, self._num_users + item, self._num_users + other))
        users, items, others = self._layers().mean(dim=0)[places]
        margin = (users * (items - others)).sum(dim=1)
        penalty = self.vectors[places].square().sum() / (2 * len(user))
        return self._penalty * penalty - functional.logsigmoid(margin).mean()

    def score(self, histories: Sequence[IntArray]) -> Tensor:
        """Return the products of all items with the mean of each history's."""
        items = self._layers().mean(dim=0)[self._num_users :]
        own = torch.from_numpy(binary_histories(histories, self._num_items).toarray()).float()
        return functional.normalize(own, p=1) @ items @ items.T

    def _layers(self) -> Tensor:
        """Return the vectors of users and, behind them, items, before any layer and after each (eq. 7), stacked."""
        layers: list[Tensor] = [self.vectors]
        for _ in range(LAYERS):
            layers.append(_NeighbourSum.apply(self._graph, layers[-1]))  # type: ignore[no-untyped-call]
        return torch.stack(layers)


class _NeighbourSum(torch.autograd.Function):
    """The sum of neighbours' vectors. The graph is its own transpose, which torch does not know and would compute."""

    @staticmethod
    def forward(ctx: Any, graph: Tensor, vectors: Tensor) -> Tensor:
        ctx.graph = graph
        return graph @ vectors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, ctx.graph @ gradients[0]


def normalised(touched: sparse.csr_array) -> sparse.csr_array:
    """Return the graph of users and, behind them, items, each edge divided by the roots of its ends' degrees.

    Args:
        touched: 1 where a user touched an item, `[users, items]`.

    Returns:
        Symmetric, `[users + items, users + items]`.
    """
    by_user, by_item = np.diff(touched.indptr), np.bincount(touched.indices, minlength=touched.shape[1])
    norms = [sparse.diags_array(1 / np.sqrt(np.maximum(degrees, 1))) for degrees in (by_user, by_item)]
    edges = norms[0] @ touched @ norms[1]
    users, items = (sparse.csr_array((size, size)) for size in touched.shape)
    return sparse.block_array([[users, edges], [edges.T, items]], format="csr")


def _torch(matrix: sparse.csr_array) -> Float[Tensor, "rows columns"]:
    starts, places = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data).float()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, places, values, matrix.shape, check_invariants=True)


RECIPE = Recipe(
    name="lightgcn",
    make=LightGcn,
    grid={"penalty": (1e-4, 1e-2)},
    epochs=500,
    patience=50,
    fixed_epochs=60,
    note=f"{LAYERS} layers, held-out users folded in by their items",
)
