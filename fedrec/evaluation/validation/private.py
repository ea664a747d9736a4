"""Private validation users as the run may see them: what each question asks of them, and what the answers say.

Exact values are computed on the way; they stand beside, under `exact`, for a simulation's eyes alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.evaluation.validation.contributions import (
    GAIN_BOUND,
    Values,
    changes_as,
    gains_as,
    loss_bound,
    loss_middle,
    losses_as,
    ranks_as,
    scores_as,
)
from fedrec.evaluation.validation.noisy_sums import NoisySums
from fedrec.evaluation.validation.rank_histogram import LOG_RANK, deviations_of, edges_of, metrics_of, weights_of
from fedrec.evaluation.validation.volunteers import Exact, Parameters, ValidationScore
from fedrec.metrics.evaluation import Evaluation
from fedrec.metrics.ranking import RANKED
from fedrec.models.adapters import parameters_sha256
from fedrec.privacy.validation import Question, ValidationPlan
from fedrec.tasks.base import LAST

NDCG = f"ndcg@{RANKED}"
"""What is published of lists: private validation users are for tasks that rank (`Task.ranks`)."""

HISTOGRAM_TARGET = LAST.name
"""Whose rank is counted: a user has one last item, and so one rank."""

DOUBT = 2.0
"""Deviations of its noise by which a candidate must be better than the first to be taken instead."""


@dataclass(frozen=True)
class Scale:
    """What else is public and decides how noisy answers are.

    Attributes:
        num_items: Size of the catalogue.
        cutoffs: Of the ranking metrics.
        targets: What of each user is ranked.
    """

    num_items: int
    cutoffs: tuple[int, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Seen:
    """One adapter with the exact values of the users who have data.

    Attributes:
        number: Of the round that asks, or the plan's `result`.
        about: The adapter's hash.
        losses: In nats, `[users]`.
        rankings: By target; empty if lists were not ranked, or nobody has data.
    """

    number: int
    about: str
    losses: Values
    rankings: Mapping[str, Evaluation]


class PrivateValidation:
    """Asks private validation users what was planned.

    Args:
        exact: The users.
        plan: What may be asked.
        secret_seed: Of the noise.
        start: The adapter before the first round.
        scale: What else decides the noise.

    Raises:
        ConfigError: If ranks of the last item are to be published, and it is not ranked.
    """

    def __init__(self, exact: Exact, plan: ValidationPlan, secret_seed: int, start: Parameters, scale: Scale) -> None:
        if plan.form == "histogram" and HISTOGRAM_TARGET not in scale.targets:
            message = (
                'evaluation.private.form = "histogram" counts ranks of the last item, and only '
                f'{", ".join(scale.targets)} is ranked; put "last" into evaluation.targets, or choose the form "mean"'
            )
            raise ConfigError(message)
        self._exact, self._plan, self._start, self._scale = exact, plan, start, scale
        self._sums = NoisySums(plan, secret_seed)
        self._noise = deviations(plan, scale)
        self._edges = edges_of(scale.cutoffs, scale.num_items)
        self._weights = weights_of(self._edges, scale.cutoffs)

    def after(self, number: int, parameters: Parameters, *, ranked: bool) -> ValidationScore:
        """Return what the plan has for a round, and the exact values beside it."""
        asked = self._plan.asked[number]
        seen = self._seen(number, parameters, ranked=ranked or "ranks" in asked)
        exact: dict[str, Any] = {"loss": _mean(seen.losses)}
        if ranked:
            exact["validation"] = {target: found.to_json() for target, found in seen.rankings.items()}
        reports = [_REPORTS[question](self, seen) for question in asked]
        fields: dict[str, Any] = {"exact": exact, "noise": self._noise} if reports else {"exact": exact}
        for one in reports:
            fields |= one.fields
        return ValidationScore(next((one.score for one in reports if not math.isnan(one.score)), math.nan), fields)

    def of_result(self, parameters: Parameters) -> dict[str, dict[str, float]]:
        """Return the metrics that the plan has for the finished result."""
        seen = self._seen(self._plan.result, parameters, ranked=True)
        question = self._plan.asked[self._plan.result][-1]
        found: dict[str, dict[str, float]] = _REPORTS[question](self, seen).fields["validation"]
        return found

    def best_of(self, candidates: Sequence[Parameters]) -> int:
        """Return the candidate of the highest noisy gain in NDCG over the first, if noise alone seldom gains as much.

        Which it is when the gain is above `DOUBT` deviations of the noise; else the first.
        """
        scores = np.stack(
            [self._per_user(self._exact.validate(candidate)).mean(axis=1) for candidate in candidates], axis=1
        )
        about = " ".join(parameters_sha256(candidate) for candidate in candidates)
        gains = np.append(0.0, self._sums.mean(self._plan.result, "gains", about, gains_as(scores)))
        best = int(np.argmax(gains))
        return best if gains[best] > DOUBT * self._noise["gain"] else 0

    def report_base_loss(self, seen: Seen) -> ValidationScore:
        """Return the base's loss; its score is 0, that of no change."""
        return ValidationScore(0.0, {"loss": self._base_loss(seen)})

    def report_loss_change(self, seen: Seen) -> ValidationScore:
        """Return the base's loss as it was released, and how this one differs from it: the score."""
        moved = changes_as(seen.losses, self._base.losses, self._plan.change_bound)
        (change,) = self._sums.mean(seen.number, "loss change", seen.about, moved)
        return ValidationScore(float(change), {"loss": self._base_loss(self._base) + float(change)})

    def report_metrics(self, seen: Seen) -> ValidationScore:
        """Return mean NDCG by target."""
        found = self._sums.mean(seen.number, "metrics", seen.about, scores_as(self._per_user(seen.rankings))) + 0.5
        users, targets = float(self._plan.users), self._scale.targets
        metrics = {target: {"users": users, NDCG: float(value)} for target, value in zip(targets, found, strict=True)}
        return ValidationScore(math.nan, {"validation": metrics})

    def report_ranks(self, seen: Seen) -> ValidationScore:
        """Return the noisy counts of ranks, and the metrics that follow; the score is `LOG_RANK`."""
        ranks = [own[0] for own in seen.rankings[HISTOGRAM_TARGET].ranks] if seen.rankings else []
        shares = self._sums.mean(
            seen.number, "ranks", seen.about, ranks_as(np.array(ranks, dtype=np.int64), self._edges)
        )
        counts = shares * self._plan.users
        metrics = metrics_of(counts, self._plan.users, self._weights)
        found = {HISTOGRAM_TARGET: {"users": float(self._plan.users), **metrics}}
        return ValidationScore(metrics[LOG_RANK], {"validation": found, "rank_counts": counts.tolist()})

    def _base_loss(self, base: Seen) -> float:
        """Return the released loss of the base: the same sum with the same noise, however often it is asked for."""
        (loss,) = self._sums.mean(0, "base loss", base.about, losses_as(base.losses, self._scale.num_items))
        return float(loss) + loss_middle(self._scale.num_items)

    @cached_property
    def _base(self) -> Seen:
        return self._seen(0, self._start, ranked=False)

    def _per_user(self, rankings: Mapping[str, Evaluation]) -> Values:
        """Return each user's NDCG by target, `[users, targets]`; no rows without users."""
        if not rankings:
            return np.empty((0, len(self._scale.targets)))
        return np.stack([rankings[target].per_user[NDCG] for target in self._scale.targets], axis=1)

    def _seen(self, number: int, parameters: Parameters, *, ranked: bool) -> Seen:
        losses = self._exact.losses(parameters).double().numpy()
        rankings = self._exact.validate(parameters) if ranked else {}
        return Seen(number, parameters_sha256(parameters), losses, rankings)


_REPORTS: Mapping[Question, Callable[[PrivateValidation, Seen], ValidationScore]] = {
    "base loss": PrivateValidation.report_base_loss,
    "loss change": PrivateValidation.report_loss_change,
    "metrics": PrivateValidation.report_metrics,
    "ranks": PrivateValidation.report_ranks,
}


def deviations(plan: ValidationPlan, scale: Scale) -> dict[str, float]:
    """Return the deviation of the noise on each value that is released, by its name.

    "loss_change" is that of the difference of a round's loss from the base's, whose own noise all rounds share; "gain"
    that of one candidate's gain, which is not released, but decides.
    """
    one = plan.noise_multiplier / plan.users
    gain = {"gain": one * GAIN_BOUND} if "gains" in plan.asked[plan.result] else {}
    if plan.form == "histogram":
        edges = edges_of(scale.cutoffs, scale.num_items)
        return {**gain, "rank_counts": plan.noise_multiplier} | deviations_of(
            plan.noise_multiplier, plan.users, weights_of(edges, scale.cutoffs)
        )
    change = one * plan.change_bound
    return {
        **gain,
        "loss": math.hypot(one * loss_bound(scale.num_items), change),
        "loss_change": change,
        NDCG: one * math.sqrt(len(scale.targets)) / 2,
    }


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else math.nan
