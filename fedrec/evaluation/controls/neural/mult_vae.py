"""Mult-VAE: a variational autoencoder of a user's items with a multinomial likelihood (Liang et al. 2018).

Theirs are the layers (items, 600, 200, 600, items), tanh, histories of length 1 of which half is dropped, Adam at .001,
and the weight of the divergence, which rises with training and is cut off at `beta`. With fewer users than theirs,
batches are of 100 users instead of 500, and the weight rises by 1 in 100 epochs.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.progress import Progress
from fedrec.core.seeding import Label
from fedrec.data.interactions import IntArray, Interactions
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.controls.neural.early_stopping import Recipe, trained_control
from fedrec.evaluation.controls.neural.learner import Learner, descend_
from fedrec.evaluation.evaluator import Evaluator
from fedrec.models.linear.histories import binary_histories
from fedrec.run.job import Job

HIDDEN, LATENT = 600, 200
DROPOUT = 0.5
LEARNING_RATE = 1e-3
BATCH = 100
ANNEALING = 100
"""Epochs in which the weight of the divergence would reach 1."""


@CONTROLS.register("mult_vae")
def mult_vae_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Variational autoencoder with a multinomial likelihood."""
    return trained_control(RECIPE, job, evaluator, progress)


class MultVae(Learner):
    """Order, repeats and values are ignored.

    Args:
        rows: Training interactions.
        seed: Of all draws.
        *name: Of all draws.
        beta: Highest weight of the divergence, at least 0.
    """

    def __init__(self, rows: Interactions, seed: int, *name: Label, beta: float) -> None:
        super().__init__(seed, *name)
        users = range(rows.num_users)
        self._own = [own for own in map(rows.items_of, users) if len(own)]
        self._num_items, self._beta = rows.num_items, beta
        self.inner, self.outer = nn.Linear(rows.num_items, HIDDEN), nn.Linear(HIDDEN, rows.num_items)
        self.encode, self.decode = nn.Linear(HIDDEN, 2 * LATENT), nn.Linear(LATENT, HIDDEN)
        generator = self.generator("start")
        for layer in (self.inner, self.encode, self.decode, self.outer):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self._optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    def learn_(self, epoch: int) -> None:
        """Take a step for each batch of users."""
        weight = min(self._beta, (epoch - 1) / ANNEALING)
        draws = self.generator("noise", epoch)
        for chosen in self.batches(epoch, len(self._own), BATCH):
            touched = self._touched([self._own[place] for place in chosen])
            kept = (torch.rand(touched.shape, generator=draws) >= DROPOUT) / (1 - DROPOUT)
            mean, log_variance = self._latent(functional.normalize(touched) * kept)
            noise = torch.randn(mean.shape, generator=draws)
            scores = self._scores(mean + noise * (log_variance / 2).exp())
            descend_(self._optimizer, negative_elbo(touched, scores, mean, log_variance, weight))

    def score(self, histories: Sequence[IntArray]) -> Tensor:
        """Return what the mean of the latent distribution decodes to."""
        return self._scores(self._latent(functional.normalize(self._touched(histories)))[0])

    def _touched(self, histories: Sequence[IntArray]) -> Tensor:
        return torch.from_numpy(binary_histories(histories, self._num_items).toarray()).float()

    def _latent(self, touched: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encode(torch.tanh(self.inner(touched))).chunk(2, dim=1)
        return mean, log_variance

    def _scores(self, latent: Tensor) -> Tensor:
        scores: Tensor = self.outer(torch.tanh(self.decode(latent)))
        return scores


def negative_elbo(
    touched: Float[Tensor, "users items"],
    scores: Float[Tensor, "users items"],
    mean: Float[Tensor, "users latent"],
    log_variance: Float[Tensor, "users latent"],
    weight: float,
) -> Float[Tensor, ""]:
    """Return the mean over users of `-sum x log softmax(scores) + weight KL(N(mean, variance) | N(0, 1))` (eq. 7)."""
    likelihood = (touched * scores.log_softmax(dim=1)).sum(dim=1)
    divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
    return (weight * divergence - likelihood).mean()


RECIPE = Recipe(
    name="mult_vae",
    make=MultVae,
    grid={"beta": (0.2, 0.5, 1.0)},
    epochs=200,
    patience=20,
    fixed_epochs=40,
    note=f"layers {HIDDEN} and {LATENT}",
)
