"""Click prediction: would a user click an item? Judged by the probabilities for users who never trained.

A pair of a history and an item is clicked or not; the probability is `sigmoid(prior + score)`. The prior is the logit
of a share of clicks that no data decide, so that a score of 0 says what is known beforehand, of an item that nobody
trained on, too; what differs from it the model learns, item by item in its item bias. The loss is the cross-entropy.

How often people click at all cannot be seen in interactions: with drawn items the probabilities are those of pairs that
have `per_click` unclicked items beside each click, in training and in judging.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.data.split import Cases, Cut
from fedrec.experiment.config import Experiment
from fedrec.metrics.clicks import auc, calibration_error, calibration_ratio, log_loss
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.metrics.ranking import finite_scores
from fedrec.models.recommender import Recommender
from fedrec.tasks.base import LAST20, TASKS, Batch, Headline
from fedrec.tasks.sequences import SequenceTask
from fedrec.tasks.unclicked import Below, Drawn, Unclicked
from fedrec.tasks.windows import IGNORED, Window

TOGETHER = 256
"""Users whose scores are held at once."""


@TASKS.register("click")
class Click(SequenceTask):
    """Predict which items a user clicks.

    Args:
        experiment: What is computed.
        threshold: An interaction of at least this value is a click; every one is by default.
        negatives: Where unclicked items come from: "drawn" by name from the catalogue, or interactions "below" the
            threshold.
        per_click: Drawn items for each click, at least 1.
        base_rate: Probability at a score of 0; by default the share of clicks among drawn pairs, or a half.
        bins: Bins of the calibration error, at least 1.

    Raises:
        ConfigError: If an option is out of range.
    """

    targets: ClassVar[tuple[Cut, ...]] = (LAST20,)
    headline: ClassVar[Headline] = Headline("last20", "gauc")
    shown: ClassVar[tuple[str, ...]] = ("gauc", "log_loss")
    errors: ClassVar[frozenset[str]] = frozenset({"log_loss"})
    controls: ClassVar[tuple[str, ...]] = ("popularity_odds", "base", "local_only", "central")

    def __init__(  # noqa: PLR0913, PLR0917 - what an experiment may write into task.options
        self,
        experiment: Experiment,
        threshold: float | None = None,
        negatives: str = "drawn",
        per_click: int = 4,
        base_rate: float | None = None,
        bins: int = 10,
    ) -> None:
        super().__init__(experiment)
        _require(_is_number(threshold) or threshold is None, "threshold", threshold, "a finite number")
        _require(negatives in {"drawn", "below"}, "negatives", negatives, "'drawn' or 'below'")
        _require(negatives == "drawn" or threshold is not None, "negatives", negatives, "'drawn' without a threshold")
        for name, value in (("per_click", per_click), ("bins", bins)):
            _require(
                _is_number(value) and isinstance(value, int) and value >= 1, name, value, "a whole number from 1 on"
            )
        self.unclicked: Unclicked = Drawn(per_click) if negatives == "drawn" else Below()
        rate = self.unclicked.share if base_rate is None else base_rate
        _require(_is_number(rate) and 0 < rate < 1, "base_rate", rate, "between 0 and 1")
        self.scores_pairs = self.unclicked.scores_pairs
        self.threshold, self.bins, self.prior = threshold, bins, math.log(rate / (1 - rate))

    def collate(self, examples: Sequence[Window]) -> dict[str, Tensor]:
        """Return "history" and "target" `[batch, longest]`, "user" `[batch]`, and what is clicked.

        That is "clicked", 1 where a target is a click, `[batch, longest]`, and "own", all items of the example,
        `[batch, longest + 1]`, `IGNORED` behind them.
        """
        batch = super().collate(examples)
        rows, longest = batch["target"].shape
        clicked = np.zeros((rows, longest), dtype=np.float32)
        own = np.full((rows, longest + 1), IGNORED, dtype=np.int64)
        for row, (items, values, first, *_) in enumerate(examples):
            clicked[row, first : len(items) - 1] = self._clicked(values[first + 1 :])
            own[row, : len(items)] = items
        return {**batch, "clicked": torch.from_numpy(clicked), "own": torch.from_numpy(own)}

    def scored(self, positions: int, items: int) -> int:
        """Return the scores of each position: of the example's targets, and of what is drawn."""
        del items
        return self.unclicked.scored(positions)

    def sample(self, rng: np.random.Generator, items: range) -> Tensor | None:
        """Return what the clicks of a step are compared with; None where that is the examples' own."""
        return self.unclicked.sample(rng, items)

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's mean cross-entropy over its pairs, in nats; 0 for one without a click to learn from."""
        return self.unclicked.losses(model, batch, sample, items or range(model.num_items), self.prior)

    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Return how good the probabilities are, a user a value and of all users together.

        Of each user "gauc", the AUC among its own pairs, whose mean is the group AUC with each user counting alike, and
        "log_loss"; nan for a user without a click (and "gauc" without an unclicked item). Of all pairs together "auc",
        "ece", the expected calibration error, and "calibration_ratio".

        Raises:
            ConfigError: If nobody has both a clicked and an unclicked item.
            FedrecError: If scores have the wrong shape or are not finite.
        """
        clicked, logits = [], []
        for start in range(0, len(cases.users), TOGETHER):
            part = slice(start, start + TOGETHER)
            places = range(len(cases.users))[part]
            asked_about = [self._pairs(cases, place, judged.num_items) for place in places]
            wanted = [np.unique(items) for items, _ in asked_about]  # in an order that tells nothing of clicks
            scores = finite_scores(
                scorer(replace(cases.queries(part), wanted=wanted)), cases.users[part], judged.num_items
            )
            for row, (items, found) in enumerate(asked_about):
                clicked.append(found)
                logits.append(self.prior + scores[row, items].astype(np.float64))
        per_user = {
            name: np.array([metric(*own) for own in zip(clicked, logits, strict=True)], dtype=np.float64)
            for name, metric in (("gauc", auc), ("log_loss", log_loss))
        }
        if np.isnan(per_user["gauc"]).all():
            message = (
                f"task.options.threshold = {self.threshold}: no held-out user has both a clicked and an unclicked item "
                "among what is judged; change it, or leave it out"
            )
            raise ConfigError(message)
        pairs = np.concatenate(clicked), np.concatenate(logits)
        together = {"auc": auc(*pairs), "ece": calibration_error(*pairs, self.bins)}
        return Evaluation(
            name=cases.name,
            users=cases.users,
            per_user=per_user,
            ranks=(),
            recommended=np.empty((len(clicked), 0), dtype=np.int64),
            lists={**together, "calibration_ratio": calibration_ratio(*pairs)},
        )

    def _pairs(self, cases: Cases, place: int, num_items: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        clicked = self._clicked(cases.target_values[place])
        targets = cases.targets[place]
        return self.unclicked.pairs(int(cases.users[place]), cases.histories[place], targets, clicked, num_items)

    def _clicked(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        return np.ones(len(values), dtype=bool) if self.threshold is None else values >= self.threshold


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _require(fits: bool, name: str, found: Any, allowed: str) -> None:  # noqa: FBT001 - what was found to hold
    if not fits:
        message = f"task.options.{name} = {found!r}: should be {allowed}"
        raise ConfigError(message)
