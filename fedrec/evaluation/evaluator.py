"""The server's evaluator: one model, many adapters, the held-out users.

Validation users are outside the training ledger. The run sees them through `validation`: as they are, if they
consented, else through planned and noisy sums. Test users are asked through `test` alone, once per finished model, and
through `test_period` (see `fedrec.evaluation.asked_once`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray
from fedrec.data.platform import Stretches
from fedrec.data.split import Cases, Cut, Period
from fedrec.evaluation.by_platform import evaluate_by_platform
from fedrec.evaluation.validation.private import PrivateValidation, Scale
from fedrec.evaluation.validation.volunteers import Validation, Volunteers, mean_gain
from fedrec.metrics.beyond_accuracy import Counts, Kinds, Vectors, kinds_of
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.metrics.ranking import RANKED
from fedrec.models.adapters import load_parameters_
from fedrec.models.linear.branch import load_scorer_
from fedrec.models.recommender import Recommender
from fedrec.models.scoring import finite
from fedrec.run.job import Job
from fedrec.tasks import Task, open_task
from fedrec.training.context import TrainingContext
from fedrec.training.held_out_loss import mean_loss, user_losses


@dataclass(frozen=True, eq=False)
class Popular:
    """How popular items are, for novelty and popularity of lists.

    Attributes:
        counts: Of each item, `[items]`; None if nothing may be shown.
        of: Whose counts these are, in words; "nobody" without counts.
    """

    counts: Counts | None
    of: str


def _popular(job: Job) -> Popular:
    """Return all training users' counts without privacy; under privacy the public users' alone.

    Metrics are published, and exact counts of private users would be no secret beside them.
    """
    split = job.prepared.split
    if job.plan.trust == "none":
        return Popular(job.prepared.train_counts, "training users")
    if not len(split.public):
        return Popular(None, "nobody")
    rows = [split.train.items_of(int(user)) for user in split.public]
    return Popular(np.bincount(np.concatenate(rows), minlength=split.train.num_items), "public users")


def scale_of(job: Job) -> Scale:
    """Return what decides the noise of private validation users' answers beside their plan."""
    dataset = job.prepared.facts["dataset"]
    cutoffs = tuple(sorted({*job.experiment.evaluation.cutoffs, RANKED}))
    targets = tuple(cut.name for cut in open_task(job.experiment).asked_targets(dataset["order"]))
    return Scale(int(job.prepared.platforms.catalogue_sizes.max()), cutoffs, targets)


class Evaluator:
    """Scores adapters and other scorers of one run.

    Args:
        job: The prepared run.

    Attributes:
        popular: How popular items are.
        cutoffs: Of the ranking metrics.
        tuned: Settings that validation users picked for a control, by its name.

    Raises:
        ConfigError: If a cut-off is above a platform's number of items, where every list is complete.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._split = job.prepared.split
        self.popular = _popular(job)
        self._platforms = job.prepared.platforms
        asked, num_items = job.experiment.evaluation.cutoffs, int(self._platforms.catalogue_sizes.min())
        if (largest := max(asked)) > num_items:
            message = f"evaluation.cutoffs = {list(asked)}: the catalogue has {num_items} items; leave {largest} out"
            raise ConfigError(message)
        self.cutoffs = scale_of(job).cutoffs
        self.tuned: dict[str, dict[str, float]] = {}

    @cached_property
    def task(self) -> Task:
        """What is learnt, and how it is judged."""
        return open_task(self._job.experiment)

    @cached_property
    def targets(self) -> dict[str, Cut]:
        """What of each held-out user is judged, by name."""
        cuts = self.task.asked_targets(self._job.prepared.facts["dataset"]["order"])
        return {cut.name: cut for cut in cuts}

    @cached_property
    def context(self) -> TrainingContext:
        """The model with the adapter attached; loading another adapter overwrites the last."""
        return self._job.training_context

    @cached_property
    def validation(self) -> Validation:
        """The validation users as the run may see them."""
        plan = self._job.validation
        if not plan.private:
            return Volunteers(self, self.task.headline)
        return PrivateValidation(self, plan, self._job.secret_seed, self.context.shared_start, scale_of(self._job))

    def losses(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return the exact loss of each validation user with data under an adapter, `[users]`."""
        load_parameters_(self.context.model, {**self.context.start, **parameters})
        return user_losses(self.context.model, self.task, *self._validation_examples)

    def loss_of(self, model: Recommender) -> float:
        """Return their mean for a model as it is; nan without such users."""
        return mean_loss(model, self.task, *self._validation_examples)

    def validate(self, parameters: Mapping[str, Tensor]) -> dict[str, Evaluation]:
        """Return the exact evaluation of the validation users by target.

        Where they are private, neither a user without data nor a score that is not finite is an error, which would tell
        of it.
        """
        scorer, users = self.scorer(parameters), self._split.validation
        if not self._job.validation.private:
            return self._evaluate(scorer, users)
        with_data = users[self._split.held_out.lengths_of(users) >= 2]
        return self._evaluate(finite(scorer), with_data)

    @property
    def can_tune(self) -> bool:
        """Whether there are validation users who may be looked at as they are."""
        return len(self._split.validation) > 0 and not self._job.validation.private

    def validation_gain(self, scorer: Scorer) -> float:
        """Return how well a scorer serves the validation users: the headline's metric, averaged over targets.

        It is such that more is better. Only for whoever `can_tune`.
        """
        return mean_gain(self.tune(scorer), self.task.headline)

    def tune(self, scorer: Scorer) -> dict[str, Evaluation]:
        """Return the exact evaluation of the validation users by target, as often as asked; only if `can_tune`."""
        return self._evaluate(scorer, self._split.validation)

    def test(self, scorer: Scorer, platform: int | None = None) -> dict[str, Evaluation]:
        """Return the evaluation of the test users, or of a platform's alone, by target: once per finished model."""
        users = self._split.test
        return self._evaluate(scorer, users if platform is None else users[self._platforms.of_users(users) == platform])

    def test_period(self, scorer: Scorer, target: str, period: Period) -> Evaluation | None:
        """Return the evaluation of the test users in a period of time; None if nobody has two interactions in it."""
        cases = self._split.cases(self._split.test, self.targets[target], period)
        return self.judge(scorer, cases) if len(cases.users) else None

    def scorer(self, parameters: Mapping[str, Tensor]) -> Scorer:
        """Return the scorer of an adapter; it holds until the next adapter is loaded."""
        return load_scorer_(self.context.model, {**self.context.start, **parameters}, self._job.experiment)

    def test_cases(self, target: str) -> Cases:
        """Return the test users' cases, for groups and paired tests."""
        return self._split.cases(self._split.test, self.targets[target])

    def validation_cases(self, target: str) -> Cases:
        """Return the validation users' cases; only if `can_tune`."""
        return self._split.cases(self._split.validation, self.targets[target])

    @cached_property
    def _validation_examples(self) -> tuple[list[Any], Stretches]:
        """An example of each validation user with data, and which of them are scored among which items."""
        rows, users = self._split.held_out, self._split.validation
        return self.task.judged(rows, users), self._platforms.stretches(users, rows.lengths_of(users) >= 2)

    def _evaluate(self, scorer: Scorer, users: IntArray) -> dict[str, Evaluation]:
        return {
            name: self.judge(scorer, self._split.cases(users, cut)) for name, cut in self.targets.items() if len(users)
        }

    def later(self, scorer: Scorer, users: IntArray) -> Evaluation:
        """Return the evaluation of training users, at least one of whom has any, on their own later items."""
        return self.judge(scorer, self._split.later_cases(users))

    def judge(self, scorer: Scorer, cases: Cases) -> Evaluation:
        """Return the evaluation of any cases; test users' are for `test` and `test_period` alone."""
        return evaluate_by_platform(self.task, scorer, cases, self.judged, self._platforms)

    @property
    def judged(self) -> Judged:
        """What users are judged on."""
        prepared = self._job.prepared
        return Judged(
            prepared.train.num_items,
            self.cutoffs,
            self.popular.counts,
            item_vectors=_array(prepared.item_vectors),
            query_vectors=_array(prepared.text.query_vectors),
            kinds=self._kinds,
        )

    def learn_popularity(self, released: Mapping[str, Tensor]) -> None:
        """Count popularity by what was released before the first round, where nothing better may be shown."""
        if self.popular.counts is None and "item_counts" in released:
            self.popular = Popular(np.maximum(released["item_counts"].numpy(), 0.0), "released item counts")

    @cached_property
    def _kinds(self) -> Kinds | None:
        attribute, known = self._job.experiment.evaluation.kinds, self._job.prepared.catalogue.attributes
        return kinds_of(known[attribute], attribute) if attribute in known else None


def _array(vectors: Tensor | None) -> Vectors | None:
    return None if vectors is None else vectors.numpy()
