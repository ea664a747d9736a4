"""The validation users as the run may see them: volunteers, or private users of whom noisy sums alone are published.

Whatever picks - a round, the weight of popularity - asks here, and so sees nothing that the public part may not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from fedrec.metrics.evaluation import Evaluation
from fedrec.tasks.base import Headline

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class ValidationScore:
    """How good validation users find an adapter.

    Attributes:
        score: The lower the better; nan if nothing is known.
        fields: What of it stands in a round's line.
    """

    score: float
    fields: dict[str, Any]


class Exact(Protocol):
    """The validation users as the server's evaluator sees them."""

    def losses(self, parameters: Parameters) -> Tensor:
        """Return the loss of each user who has data in nats, `[users]`."""

    def validate(self, parameters: Parameters) -> dict[str, Evaluation]:
        """Return the evaluation by target, of the same users; empty without any."""


class Validation(Protocol):
    """The validation users as the run may see them."""

    def after(self, number: int, parameters: Parameters, *, ranked: bool) -> ValidationScore:
        """Return the score after a round, 0 for the base."""

    def of_result(self, parameters: Parameters) -> dict[str, dict[str, float]]:
        """Return the metrics of the finished result: target -> metrics."""

    def best_of(self, candidates: Sequence[Parameters]) -> int:
        """Return which of the candidates for a result is best by the headline; the first of equals."""


class Volunteers:
    """Users who consented: every value is used as it is.

    Args:
        exact: The users; there may be none.
        headline: What decides which of several adapters is best.
    """

    def __init__(self, exact: Exact, headline: Headline) -> None:
        self._exact, self._headline = exact, headline

    def after(self, number: int, parameters: Parameters, *, ranked: bool) -> ValidationScore:
        """Return the mean loss, and the metrics if the round is ranked."""
        del number
        loss = float(self._exact.losses(parameters).mean())
        return ValidationScore(loss, {"loss": loss} | ({"validation": self.of_result(parameters)} if ranked else {}))

    def of_result(self, parameters: Parameters) -> dict[str, dict[str, float]]:
        """Return every metric."""
        return {target: evaluation.to_json() for target, evaluation in self._exact.validate(parameters).items()}

    def best_of(self, candidates: Sequence[Parameters]) -> int:
        """Return the candidate of the best headline metric, averaged over targets; without users, the first."""
        scores = [mean_gain(self._exact.validate(candidate), self._headline) for candidate in candidates]
        return max(range(len(scores)), key=scores.__getitem__)


def mean_gain(found: Mapping[str, Evaluation], headline: Headline) -> float:
    """Return the headline's metric such that more is better, averaged over targets; 0 without any.

    Args:
        found: Target -> evaluation.
        headline: Which metric, and which way is better.
    """
    means = [headline.gain(evaluation.means[headline.metric]) for evaluation in found.values()]
    return float(np.mean(means)) if means else 0.0
