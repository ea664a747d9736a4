"""Rating prediction: how will a user rate an item? Judged by the error of predictions for users who never trained.

A model's score of the item after the history before it moves the prediction away from `centre`. The loss is the
squared error, or the cross-entropy of ordered levels (see `fedrec.tasks.rating_losses`), averaged over the example's
targets; whichever is learnt, the errors of the predictions are judged.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.data.split import Cases, Queries
from fedrec.experiment.config import Experiment
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.metrics.ranking import finite_scores
from fedrec.models.recommender import Recommender
from fedrec.tasks.base import TASKS, Batch, Headline
from fedrec.tasks.rating_losses import rating_loss
from fedrec.tasks.sequences import SequenceTask
from fedrec.tasks.windows import IGNORED, Window

TOGETHER = 256
"""Users whose scores are held at once."""


@TASKS.register("rating")
class Rating(SequenceTask):
    """Predict the value of a user's next interactions.

    Args:
        experiment: What is computed.
        centre: What is predicted where a score is 0: the middle of the scale, which no data decide.
        loss: "squared_error", or "cross_entropy" of ordered levels.
        levels: Of the cross-entropy: all values that a rating can have, ascending, with commas between them; 1 to 5
            stars by default.
        spread: Of the cross-entropy: how far ratings deviate from the latent one, in their own unit; 0.5 by default.

    Raises:
        ConfigError: If the centre is not a finite number, or an option does not fit the loss.
    """

    headline: ClassVar[Headline] = Headline("last20", "rmse", higher_is_better=False)
    shown: ClassVar[tuple[str, ...]] = ("rmse", "mae")
    errors: ClassVar[frozenset[str]] = frozenset({"rmse", "mae"})
    controls: ClassVar[tuple[str, ...]] = ("base", "local_only", "central")
    gives: ClassVar[frozenset[str]] = frozenset({"value"})
    scores_pairs: bool = True

    def __init__(
        self,
        experiment: Experiment,
        centre: float = 3.0,
        loss: str = "squared_error",
        levels: str | None = None,
        spread: float | None = None,
    ) -> None:
        super().__init__(experiment)
        if isinstance(centre, bool | str) or not np.isfinite(centre):
            message = f"task.options.centre = {centre!r}: should be a finite number, the middle of the scale"
            raise ConfigError(message)
        self.centre = float(centre)
        self.loss = rating_loss(loss, self.centre, levels, spread)
        self.loss_scale = 0.5 if loss == "squared_error" else 1.0

    def collate(self, examples: Sequence[Window]) -> dict[str, Tensor]:
        """Return "history" and "target" `[batch, longest]`, "user" `[batch]`, and what items are rated.

        That is "value", of the history, less the centre, and "rating", of the targets, both `[batch, longest]`.
        """
        batch = super().collate(examples)
        value, rating = (np.zeros(batch["target"].shape, dtype=np.float32) for _ in range(2))
        for row, window in enumerate(examples):
            value[row, : window.size] = window.values[:-1] - np.float32(self.centre)
            rating[row, : window.size] = window.values[1:]
        return {**batch, "value": torch.from_numpy(value), "rating": torch.from_numpy(rating)}

    def scored(self, positions: int, items: int) -> int:
        """Return the positions: every target of an example is scored after each of them."""
        del items
        return max(1, positions)

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's mean loss over its targets."""
        del sample, items
        target = batch["target"]
        scores = model.pairs(batch, target.clamp(min=0))
        known = (target != IGNORED).to(scores.dtype)
        losses = self.loss.losses(scores, batch["rating"].to(scores.dtype)) * known
        means: Tensor = losses.sum(dim=1) / known.sum(dim=1)
        return means

    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Return each user's root mean squared error ("rmse") and mean absolute error ("mae") over its targets.

        The recommender is shown the values of a history less the centre, on the scale of its own scores.

        Raises:
            ConfigError: If a target's value is none that the loss knows.
            FedrecError: If scores have the wrong shape or are not finite.
        """
        for values in cases.target_values:
            self.loss.require(values)
        errors = []
        for start in range(0, len(cases.users), TOGETHER):
            part = slice(start, start + TOGETHER)
            asked = replace(self._centred(cases.queries(part)), wanted=cases.targets[part])
            scores = finite_scores(scorer(asked), cases.users[part], judged.num_items)
            both = zip(scores, cases.targets[part], cases.target_values[part], strict=True)
            errors += [self.loss.predicted(row[targets]) - values for row, targets, values in both]
        return Evaluation(
            name=cases.name,
            users=cases.users,
            per_user={
                "rmse": np.array([np.sqrt(np.square(error, dtype=np.float64).mean()) for error in errors]),
                "mae": np.array([np.abs(error).mean(dtype=np.float64) for error in errors]),
            },
            ranks=(),
            recommended=np.empty((len(errors), 0), dtype=np.int64),
            lists={},
        )

    def _centred(self, queries: Queries) -> Queries:
        return replace(queries, values=[value - np.float32(self.centre) for value in queries.values])
