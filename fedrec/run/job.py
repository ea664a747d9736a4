"""A run's folder as its workers see it: the experiment, what was prepared, and the tools made from both."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fedrec.core.errors import RunError
from fedrec.core.places import PRIVATE
from fedrec.experiment.config import Experiment
from fedrec.experiment.file import load_experiment
from fedrec.models.adapters import attach_, trained_parameters
from fedrec.models.recommender import Recommender, build_model
from fedrec.privacy.noise_key import secret_seed
from fedrec.privacy.plan import PrivacyPlan, UnitCounts, plan
from fedrec.privacy.validation import ValidationPlan, validation_plan
from fedrec.run.cohorts import Population
from fedrec.run.preparation import Prepared
from fedrec.tasks import open_task
from fedrec.training.context import TrainingContext


@dataclass(frozen=True, eq=False)
class Job:
    """The folder of a prepared run."""

    folder: Path

    @property
    def private(self) -> Path:
        """What only a simulator sees of the run: data, what clients keep, checkpoints, the noise key."""
        return self.folder / PRIVATE

    @cached_property
    def experiment(self) -> Experiment:
        """What is computed.

        Raises:
            RunError: If it is another experiment than the run was begun with.
        """
        found = load_experiment(self.folder / "experiment.toml", [])
        begun = (self.folder / "fingerprint").read_text(encoding="utf-8").strip()
        if found.fingerprint != begun:
            message = (
                f"{self.folder / 'experiment.toml'} is not the experiment that this run was begun with: its "
                f"fingerprint is {found.fingerprint[:12]}, the run's {begun[:12]}. It was edited, or written by a "
                "version of fedrec with other defaults; restore it, or start a new run"
            )
            raise RunError(message)
        return found

    @cached_property
    def told(self) -> dict[str, Any]:
        """What `run.json` says."""
        told: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return told

    @property
    def code_folders(self) -> list[Path]:
        """Where modules of the user's own were found that the experiment names; none for registered code or files."""
        return [Path(folder) for folder in self.told.get("code_folders", [])]

    @cached_property
    def prepared(self) -> Prepared:
        """Data, split, federation, item vectors, base."""
        return Prepared(self.private / "prepared")

    @cached_property
    def plan(self) -> PrivacyPlan:
        """Who clips and noises how much."""
        return plan_of(self.experiment, self.prepared, self.cohort)

    @cached_property
    def validation(self) -> ValidationPlan:
        """What may be asked of the validation users."""
        if not self.experiment.evaluation.private.on:
            return ValidationPlan()
        return validation_plan(self.experiment, self.prepared.facts["split"]["validation"])

    @cached_property
    def secret_seed(self) -> int:
        """Seed of the draws that must stay secret (see `fedrec.privacy.noise_key`); every worker reads the same."""
        return secret_seed(self.experiment, self.private)

    def cohort(self, round: int) -> list[int]:
        """Return the clients of a round, ascending: a named draw (see `fedrec.run.cohorts`), which may be empty."""
        experiment = self.experiment
        population = Population(experiment.federation, len(self.prepared.federation), experiment.privacy.bands)
        return population.cohort(self._cohort_seed, round)

    @property
    def _cohort_seed(self) -> int:
        """Secret where who takes part must be: cohorts amplify privacy only while nobody knows them."""
        secret = self.experiment.privacy.trust == "central" and self.experiment.federation.sampling != "fixed"
        return self.secret_seed if secret else self.experiment.seed

    @property
    def expected_cohort(self) -> float:
        """Expected number of clients a round: the denominator that no data decides."""
        return self.experiment.federation.expected_cohort(len(self.prepared.federation))

    @cached_property
    def training_context(self) -> TrainingContext:
        """The model with its adapter, and what all tasks share."""
        model = self.model()
        start = {name: parameter.detach().clone() for name, parameter in trained_parameters(model).items()}
        train, federation = self.prepared.train, self.prepared.federation
        return TrainingContext(
            self.experiment, model, train, federation, self.plan, start, self.secret_seed, self.prepared.platforms
        )

    def model(self, users: int | None = None) -> Recommender:
        """Return the base with the untrained adapter attached.

        Args:
            users: How many users it can hold parameters of; the most that a client has by default.
        """
        inputs = self.prepared.model_inputs
        model = build_model(self.experiment, inputs if users is None else replace(inputs, num_users=users))
        model.load_state_dict({**model.state_dict(), **self._base_for(model)})
        attach_(model, self.experiment.adapter, self.experiment.seed)
        return model

    def _base_for(self, model: Recommender) -> dict[str, Tensor]:
        """Return the base's weights, but for those that never travel: another number of users has another shape."""
        return {name: value for name, value in self.prepared.base.items() if not model.stays(name)}


def plan_of(experiment: Experiment, prepared: Prepared, cohort: Callable[[int], Sequence[int]]) -> PrivacyPlan:
    """Return who clips and noises how much.

    Args:
        experiment: What is computed.
        prepared: What it is computed on.
        cohort: Round, from 1 -> its clients. The drawn cohorts decide how often a client takes part, never the data;
            another package's strategy draws its own, so it is budgeted for every client in every round.
    """
    federation, rounds = prepared.federation, experiment.rounds
    users = federation.users.values
    examples = int(open_task(experiment).count(prepared.train.lengths_of(users)).sum())
    units = UnitCounts(len(users), examples, len(federation))
    if ":" in experiment.strategy.name:
        return plan(experiment, units, rounds)
    counts = np.zeros(len(federation), dtype=np.int64)
    for number in range(1, rounds + 1):
        counts[cohort(number)] += 1
    return plan(experiment, units, max(1, int(counts.max())))
