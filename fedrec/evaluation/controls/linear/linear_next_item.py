"""The linear model of the next item, `fedrec.models.linear.next_item`, with settings that validation users picked."""

import numpy as np
from numpy.typing import NDArray

from fedrec.core.progress import Progress
from fedrec.data.interactions import Interactions
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import Alone, alone, fitted
from fedrec.evaluation.controls.linear.ease import recency_scorer
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer
from fedrec.models.linear.next_item import next_item_sums, next_item_weights_
from fedrec.models.linear.squares import require_solvable
from fedrec.run.job import Job

NAME = "linear_next_item"
GRID: Grid = {"decay": (10.0, 5.0, 20.0), "l2": (300.0, 100.0, 1_000.0)}


@CONTROLS.register(NAME)
def linear_next_item_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Ridge regression from a fading past to the next item."""
    del progress
    platforms = alone(job.prepared)
    settings = tuned_next_item(evaluator, platforms)
    test = evaluator.test(fitted(platforms, lambda rows: next_item_scorer(rows, **settings)))
    return reference(test, in_words(evaluator, settings, GRID))


def tuned_next_item(evaluator: Evaluator, platforms: Alone) -> dict[str, float]:
    """Return the penalty and decay that validation users like best."""

    def scorer_of(decay: float, l2: float) -> Scorer:
        return fitted(platforms, lambda rows: next_item_scorer(rows, decay, l2))

    return tuned(evaluator, NAME, GRID, scorer_of)


def next_item_scorer(train: Interactions, decay: float, l2: float) -> Scorer:
    """Return the regression, asked with a history that fades as its pasts did."""
    return recency_scorer(next_item_weights(train, decay, l2), decay)


def next_item_weights(train: Interactions, decay: float, l2: float) -> NDArray[np.float64]:
    """Return the weights of `next_item_weights_`, `[items, items]`, fitted on training interactions.

    Raises:
        ConfigError: If the penalty is not positive, or the catalogue is too large.
    """
    require_solvable(NAME, train.num_items, l2)
    return next_item_weights_(NAME, *next_item_sums(train, decay), l2)
