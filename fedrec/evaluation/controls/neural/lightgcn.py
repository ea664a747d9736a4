"""LightGCN (He et al. 2020): vectors of users and items, averaged along the graph of who touched what; BPR loss.

Theirs are three layers whose mean is taken, width 64, Adam at .001, the penalty on the vectors before any layer, and,
in their code, batches of 2,048 pairs and a start of .1. A pair's other item is any of the catalogue, drawn anew in
every epoch.

Their users are in the graph; users who are held out are not. Such a user is folded in: its own vector is 0, it hears of
its items what a user hears, and no item hears of it. So it is the sum of its items' layers 0 to 2, each item divided by
the root of how many training users touched it. The user's own norm and the number of layers change no order.
"""

from collections.abc import Sequence

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
LEARNING_RATE = 1e-3
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
        self._pairs = torch.from_numpy(np.stack(touched.nonzero()))
        self._penalty = penalty
        self._item_norms = item_norms(touched)
        graph = normalised(touched)
        self._to_users, self._to_items = _torch(graph), _torch(graph.T.tocsr())
        generator = self.generator("start")
        self.users = nn.Parameter(torch.empty(rows.num_users, WIDTH).normal_(std=0.1, generator=generator))
        self.items = nn.Parameter(torch.empty(rows.num_items, WIDTH).normal_(std=0.1, generator=generator))
        self._optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    def learn_(self, epoch: int) -> None:
        """Take a step for each batch of pairs."""
        others = any_items(self.rng("others", epoch), len(self.items), self._pairs.shape[1])
        for chosen in self.batches(epoch, self._pairs.shape[1], BATCH):
            user, item = self._pairs[:, chosen]
            descend_(self._optimizer, self.loss(user, item, torch.from_numpy(others[chosen])))

    def loss(self, user: Tensor, item: Tensor, other: Tensor) -> Tensor:
        """Return the mean of `-log sigmoid(x_ui - x_uj)`, `j` being the other item, and the penalty (eq. 15)."""
        users, items = (layers.mean(dim=0) for layers in self._layers())
        margin = (users[user] * (items[item] - items[other])).sum(dim=1)
        start = (self.users[user], self.items[item], self.items[other])
        penalty = torch.cat(start).square().sum() / (2 * len(user))
        return self._penalty * penalty - functional.logsigmoid(margin).mean()

    def score(self, histories: Sequence[IntArray]) -> Tensor:
        """Return the products of all items with users who are folded in."""
        _, layers = self._layers()
        heard = binary_histories(histories, len(self.items)) @ self._item_norms
        folded_in = torch.from_numpy(heard.toarray()).float() @ layers[:-1].sum(dim=0)
        return folded_in @ layers.sum(dim=0).T

    def _layers(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of users and of items before any layer and after each (eq. 7), stacked."""
        users, items = [self.users], [self.items]
        for _ in range(LAYERS):
            heard = self._to_users @ items[-1], self._to_items @ users[-1]
            users.append(heard[0])
            items.append(heard[1])
        return torch.stack(users), torch.stack(items)


def item_norms(touched: sparse.csr_array) -> sparse.dia_array:
    """Return `1 / sqrt(users)` of each item on the diagonal; 1 for one that nobody touched."""
    return sparse.diags_array(1 / np.sqrt(np.maximum(np.bincount(touched.indices, minlength=touched.shape[1]), 1)))


def normalised(touched: sparse.csr_array) -> sparse.csr_array:
    """Return each entry of `[users, items]` divided by the roots of its row's and its column's number of entries."""
    lengths = np.maximum(np.diff(touched.indptr), 1)
    return (sparse.diags_array(1 / np.sqrt(lengths)) @ touched @ item_norms(touched)).tocsr()


def _torch(matrix: sparse.csr_array) -> Float[Tensor, "rows columns"]:
    places = torch.from_numpy(np.stack(matrix.nonzero()))
    values = torch.from_numpy(matrix.data).float()
    return torch.sparse_coo_tensor(places, values, matrix.shape, check_invariants=True).coalesce()


RECIPE = Recipe(
    name="lightgcn",
    make=LightGcn,
    grid={"penalty": (1e-4, 1e-2)},
    epochs=300,
    patience=20,
    fixed_epochs=60,
    note=f"{LAYERS} layers, held-out users folded in by their items",
)
