"""What all tasks of a process share: the frozen model, the training rows, who owns them, and the settings."""

import copy
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor

from fedrec.core.seeding import rng_for
from fedrec.data.federation import Federation
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.platform import Platforms
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import is_private
from fedrec.models.recommender import Recommender
from fedrec.privacy.plan import PrivacyPlan
from fedrec.tasks import Task, open_task

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
        platforms: Whose items are whose: a client learns to rank those of its own platform.
        device: Where the model lies.
    """

    experiment: Experiment
    model: Recommender
    train: Interactions
    federation: Federation
    plan: PrivacyPlan
    start: Mapping[str, Tensor]
    secret_seed: int
    platforms: Platforms
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
    def task(self) -> Task:
        """What is learnt."""
        return open_task(self.experiment)

    @cached_property
    def private_names(self) -> frozenset[str]:
        """Names of the trained parameters that never travel."""
        return frozenset(name for name in self.start if is_private(name, self.model, self.experiment.adapter))

    def split(self, values: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the trained parameters that travel, and those that stay with their client."""
        shared = {name: value for name, value in values.items() if name not in self.private_names}
        return shared, {name: value for name, value in values.items() if name in self.private_names}

    @cached_property
    def shared_start(self) -> dict[str, Tensor]:
        """The part of `start` that travels."""
        return self.split(self.start)[0]

    @cached_property
    def per_example_model(self) -> Recommender:
        """A copy of the model under Opacus' hooks, made once, because a module cannot be made private twice."""
        model = copy.deepcopy(self.model)
        model.per_example = True
        GradSampleHooks(model, batch_first=True, loss_reduction="sum")
        return model

    def examples(self, client: int) -> Sized:
        """Return the client's examples; none if each of its users has a single interaction."""
        return self.task.examples(self.train, self.federation.users[client])

    def positions(self, clients: Sequence[int]) -> IntArray:
        """Return the size of all of each client's examples together: what a step over all of them costs."""
        sizes = np.zeros(len(clients), dtype=np.int64)
        for row, client in enumerate(clients):
            sizes[row] = self.task.positions(self.train.lengths_of(self.federation.users[client])).sum()
        return sizes

    def platform(self, client: int) -> int:
        """Return the platform of a client: that of its first user, as clients never mix platforms."""
        return 0 if len(self.platforms) == 1 else self.platform_of_user(int(self.federation.users[client][0]))

    def platform_of_user(self, user: int) -> int:
        """Return the platform of a training user: that of its first item, so that made-up users have one, too."""
        return 0 if len(self.platforms) == 1 else self.platforms.of_item(int(self.train.items_of(user)[0]))

    def sample(self, round: int, step: int, platform: int = 0) -> Tensor | None:
        """Return what a platform's clients share in a step beside their batches; None if the task has no such thing.

        It depends on nobody's data, so a round's clients share one: what it is embedded into is then computed once.
        """
        which = () if platform == 0 else (self.platforms.names[platform],)
        rng = rng_for(self.experiment.seed, "negatives", *which, round, step)
        drawn = self.task.sample(rng, self.platforms.items_of(platform))
        return None if drawn is None else drawn.to(self.device)
