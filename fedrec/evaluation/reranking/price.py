"""What re-ranking costs in accuracy, and what it brings: a row a weight, each against weight 0 on the same users.

Validation users see all weights and pick one: what improves the lists most for no more than a share of the headline's
metric. Test users then see that one, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.data.platform import Platforms
from fedrec.data.split import Cases
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.reranking.base import RERANKERS, Reranker, reranked
from fedrec.evaluation.statistics.significance import FloatArray, Interval, bootstrap_interval, compare
from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.evaluation import Evaluation, Scorer
from fedrec.metrics.ranking import RANKED


@dataclass(frozen=True)
class Asked:
    """What is asked of a method.

    Attributes:
        method: Registered name.
        weights: Trade-offs to try, each in (0, 1], ascending; 0 is always beside them.
        loss: The most of the headline's metric that may be given away, as a share.
        candidates: How many of a user's best items a list is chosen from.
    """

    method: str
    weights: tuple[float, ...]
    loss: float
    candidates: int

    def __post_init__(self) -> None:
        wrong = [weight for weight in self.weights if not 0 <= weight <= 1]
        if wrong or not any(self.weights):
            found = f"weight {wrong[0]:g}" if wrong else "no weight above 0"
            message = f"{found}: a weight lies between 0, the list as it is, and 1, relevance forgotten"
            raise ConfigError(message)
        object.__setattr__(self, "weights", tuple(sorted({weight for weight in self.weights if weight})))

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON has it."""
        return asdict(self) | {"weights": list(self.weights)}


@dataclass(frozen=True)
class Row:
    """One weight.

    Attributes:
        weight: The trade-off.
        score: Mean of the headline's metric.
        price: Mean over users of what it gains over weight 0, with its interval; below 0 it is a loss.
        p_value: Of the paired test against weight 0, Holm-corrected over all rows; None for weight 0.
        improved: Mean of the metric that the method is for, at the headline's cut-off.
        gain: Mean over users of its difference to weight 0, with its interval.
        metrics: Every metric of the evaluation.
    """

    weight: float
    score: float
    price: Interval
    p_value: float | None
    improved: float
    gain: Interval
    metrics: dict[str, float]


class Pricing:
    """A method on one finished run.

    Args:
        asked: What is asked of it.
        evaluator: Of the run.
        scorer: The run's recommender.
        platforms: Whose items are whose.

    Raises:
        ConfigError: If the run ranks nothing, the method is unknown or lacks what it reads, or the candidates are too
            few for the longest list.
    """

    def __init__(self, asked: Asked, evaluator: Evaluator, scorer: Scorer, platforms: Platforms) -> None:
        if not evaluator.task.ranks:
            message = "re-ranking puts lists in another order, and this run's task makes none; choose a run that ranks"
            raise ConfigError(message)
        self._length = max(evaluator.cutoffs)
        if asked.candidates < self._length:
            message = f"--candidates {asked.candidates}: the longest list has {self._length} items; take at least these"
            raise ConfigError(message)
        self.reranker: Reranker = RERANKERS.get(asked.method)(evaluator.judged)
        self._asked, self._evaluator, self._scorer, self._platforms = asked, evaluator, scorer, platforms

    def picked(self, progress: Progress) -> dict[str, Any]:
        """Return the validation users' table and the weight that they pick, as JSON has it.

        Where they may not be looked at, one weight must be given: there is nothing to pick then, and no table.

        Raises:
            ConfigError: If several are given all the same.
        """
        weights = self._asked.weights
        if self._evaluator.can_tune:
            rows = self.on_validation_users(progress)
            return {"validation": [asdict(row) for row in rows], "picked": self.pick(rows)}
        if len(weights) > 1:
            message = (
                f"{len(weights)} weights: this run has no validation users who could pick one, or they are private; "
                "give one, such as --weight 0.3"
            )
            raise ConfigError(message)
        return {"picked": weights[0]}

    def on_validation_users(self, progress: Progress) -> list[Row]:
        """Return a row for weight 0 and for each weight; only if the evaluator `can_tune`."""
        weights = (0.0, *self._asked.weights)
        found = {}
        for number, weight in enumerate(weights):
            progress("weights", number, len(weights))
            found[weight] = self._evaluator.tune(self._scorer_at(weight))[self._target]
        progress("weights", len(weights), len(weights))
        return self._rows(found, self._evaluator.validation_cases(self._target))

    def pick(self, rows: Sequence[Row]) -> float:
        """Return the weight that improves the lists most among those that cost no more than allowed; 0 if none does."""
        headline, first = self._evaluator.task.headline, rows[0]
        least = headline.gain(first.score) - self._asked.loss * abs(first.score)
        best = max((row for row in rows if headline.gain(row.score) >= least), key=self._improvement)
        return best.weight if self._improvement(best) > 0 else 0.0

    def on_test_users(self, weight: float) -> list[Row]:
        """Return a row for weight 0, which the run's own result has told already, and one for `weight`: ask once."""
        found = {each: self._evaluator.test(self._scorer_at(each))[self._target] for each in sorted({0.0, weight})}
        return self._rows(found, self._evaluator.test_cases(self._target))

    @property
    def _target(self) -> str:
        return self._evaluator.task.headline.target

    def _improvement(self, row: Row) -> float:
        return row.gain.mean if self.reranker.higher_is_better else -row.gain.mean

    def _scorer_at(self, weight: float) -> Scorer:
        return reranked(self._scorer, self.reranker, weight, self._platforms, self._length, self._asked.candidates)

    def _rows(self, found: Mapping[float, Evaluation], cases: Cases) -> list[Row]:
        metric = self._evaluator.task.headline.metric
        scores = {weight: of.per_user[metric] for weight, of in found.items()}
        values = {weight: self._values(of, cases) for weight, of in found.items()}
        tests = compare(scores[0.0], {str(weight): of for weight, of in scores.items() if weight})
        return [
            Row(
                weight=weight,
                score=mean_over_users(scores[weight]),
                price=bootstrap_interval(scores[weight] - scores[0.0]),
                p_value=tests[str(weight)].p_holm if weight else None,
                improved=mean_over_users(values[weight]),
                gain=bootstrap_interval(values[weight] - values[0.0]),
                metrics=evaluation.to_json(),
            )
            for weight, evaluation in found.items()
        ]

    def _values(self, evaluation: Evaluation, cases: Cases) -> FloatArray:
        lists = [own[own >= 0] for own in evaluation.recommended[:, :RANKED]]
        return self.reranker.values(lists, cases.histories)
