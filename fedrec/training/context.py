"""What all tasks of a process share: the frozen model, the training rows, who owns them, and the settings."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor

from fedrec.core.seeding import rng_for
from fedrec.data.examples import Examples, examples_of
from fedrec.data.federation import Federation
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.split import Negatives
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import is_private
from fedrec.models.backbone import Backbone
from fedrec.privacy.plan import PrivacyPlan

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """Everything a task needs that is not in the task.

    Attributes:
        experiment: What is computed.
        model: The recommender with its adapter attached; tasks overwrite the adapter's values.
        train: Rows of the training users.
        federation: Users of each client.
        plan: Who clips and noises how much.
        start: The adapter before any training, by parameter name: private parameters included.
        secret_seed: Seed of the draws that must stay secret (see `fedrec.privacy.noise_key`).
        device: Where the model lies.
    """

    experiment: Experiment
    model: Backbone
    train: Interactions
    federation: Federation
    plan: PrivacyPlan
    start: Mapping[str, Tensor]
    secret_seed: int
    device: torch.device = CPU

    def on(self, device: torch.device) -> "TrainingContext":
        """Return the context with its model on another device; itself if it lies there already."""
        if device == self.device:
            return self
        return replace(self, model=copy.deepcopy(self.model).to(device), device=device)

    @property
    def discreet(self) -> bool:
        """Whether not even an error may tell the server what a client's data did: it is not trusted with them."""
        return self.plan.trust in {"local", "secure-aggregation"}

    @property
    def sums_are_noised(self) -> bool:
        """Whether clients' whole changes are clipped behind their training, and noise is added to their sum."""
        return self.plan.trust in {"central", "secure-aggregation"}

    @cached_property
    def shared_start(self) -> dict[str, Tensor]:
        """The part of `start` that travels."""
        return {n: value for n, value in self.start.items() if not is_private(n, self.experiment.adapter)}

    @cached_property
    def per_example_model(self) -> Backbone:
        """A copy of the model under Opacus' hooks, made once, because a module cannot be made private twice."""
        model = copy.deepcopy(self.model)
        model.per_example = True
        GradSampleHooks(model, batch_first=True, loss_reduction="sum")
        return model

    @cached_property
    def negatives(self) -> Negatives:
        """The only source of negatives."""
        return Negatives(self.train)

    def examples(self, client: int) -> Examples:
        """Return the client's examples; none if each of its users has a single interaction."""
        experiment = self.experiment
        return examples_of(self.train, self.federation.users[client], experiment.training, experiment.model.window)

    def positions(self, clients: Sequence[int]) -> IntArray:
        """Return how many positions each client's examples have together: what a step over all of them costs."""
        window, whole = self.experiment.model.window, self.experiment.training.example == "sequence"
        sizes = np.zeros(len(clients), dtype=np.int64)
        for row, client in enumerate(clients):
            users = self.federation.users[client]
            targets = np.maximum(self.train.lengths_of(users) - 1, 0)
            sizes[row] = np.minimum(targets, window).sum() if whole else window * targets.sum()
        return sizes

    def draw_negatives(self, round: int, step: int) -> Tensor | None:  # noqa: A002
        """Return the sample of a sampled softmax, or None where the softmax runs over the whole catalogue.

        It depends on nobody's data, so a round's clients share one: what it is embedded into is then computed once.
        """
        limit = self.experiment.model.softmax_items
        if self.train.num_items <= limit:
            return None
        rng = rng_for(self.experiment.seed, "negatives", round, step)
        return torch.from_numpy(self.negatives.shared(rng, limit)).to(self.device)
