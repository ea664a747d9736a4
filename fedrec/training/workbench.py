"""What all tasks of a process share: the frozen model, the training rows, who owns them, and the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor

from fedrec.config import Experiment
from fedrec.data.examples import Examples, examples_of
from fedrec.data.federation import Federation
from fedrec.data.interactions import Interactions
from fedrec.data.split import Negatives
from fedrec.models.adapters import is_private
from fedrec.models.backbone import Backbone
from fedrec.privacy.plan import PrivacyPlan
from fedrec.seeding import rng_for


@dataclass(frozen=True, eq=False)
class Workbench:
    """Everything a task needs that is not in the task.

    Attributes:
        experiment: What is computed.
        model: The recommender with its adapter attached; tasks overwrite the adapter's values.
        train: Rows of the training users.
        federation: Users of each client.
        plan: Who clips and noises how much.
        start: The adapter before any training, by parameter name: private parameters included.
    """

    experiment: Experiment
    model: Backbone
    train: Interactions
    federation: Federation
    plan: PrivacyPlan
    start: Mapping[str, Tensor]

    @cached_property
    def shared_start(self) -> dict[str, Tensor]:
        """The part of `start` that travels."""
        return {n: value for n, value in self.start.items() if not is_private(n, self.experiment.adapter)}

    @cached_property
    def per_example_model(self) -> Backbone:
        """The model under Opacus' hooks: set once, because a module cannot be made private twice."""
        self.model.per_example = True
        GradSampleHooks(self.model, batch_first=True, loss_reduction="sum")
        return self.model

    @cached_property
    def negatives(self) -> Negatives:
        """The only source of negatives."""
        return Negatives(self.train)

    def examples(self, client: int) -> Examples:
        """Return the client's examples; none if each of its users has a single interaction."""
        experiment = self.experiment
        return examples_of(self.train, self.federation.users[client], experiment.training, experiment.model.window)

    def draw_negatives(self, round: int, client: int, step: int) -> Tensor | None:  # noqa: A002
        """Return the sample of a sampled softmax, or None where the softmax runs over the whole catalogue."""
        limit = self.experiment.model.softmax_items
        if self.train.num_items <= limit:
            return None
        rng = rng_for(self.experiment.seed, "negatives", round, client, step)
        return torch.from_numpy(self.negatives.shared(rng, limit))
