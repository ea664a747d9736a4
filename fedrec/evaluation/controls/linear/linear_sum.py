"""The sum of two linear recommenders, `ease_recency` and `linear_next_item`: what goes together, and what comes next.

SLIST adds the squared errors of a like pair (Choi et al. 2021); here scores are added. They are brought to one scale
first: a user's scores of each are centred and divided by their standard deviation over the catalogue.
"""

import numpy as np

from fedrec.core.progress import Progress
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import alone, together
from fedrec.evaluation.controls.linear.ease import RECENCY_GRID, ease_recency_scorer, tuned_ease_recency
from fedrec.evaluation.controls.linear.linear_next_item import GRID, next_item_scorer, tuned_next_item
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.run.job import Job

NAME = "linear_sum"
WEIGHTS: Grid = {"weight": (1.0, 0.5, 2.0)}
"""Of the next item in the sum."""


@CONTROLS.register(NAME)
def linear_sum_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """EASE with a history that fades and the linear next item, each tuned alone, summed with a tuned weight."""
    del progress
    platforms = alone(job.prepared)
    ease, following = tuned_ease_recency(evaluator, platforms), tuned_next_item(evaluator, platforms)
    parts = [(ease_recency_scorer(rows, **ease), next_item_scorer(rows, **following)) for rows in platforms.rows]

    def scorer_of(weight: float) -> Scorer:
        return together(platforms, [sum_scorer(*part, weight) for part in parts])

    settings = tuned(evaluator, NAME, WEIGHTS, scorer_of)
    how = (
        f"ease_recency with {in_words(evaluator, ease, RECENCY_GRID)} + linear_next_item with "
        f"{in_words(evaluator, following, GRID)}, {in_words(evaluator, settings, WEIGHTS)}"
    )
    return reference(evaluator.test(scorer_of(**settings)), how)


def sum_scorer(first: Scorer, second: Scorer, weight: float) -> Scorer:
    """Return the sum of two scorers' standardised scores, the second's with a weight.

    A user whose scores of one are all the same gets the other's alone.
    """

    def score(queries: Queries) -> Scores:
        return (standardised(first(queries)) + np.float32(weight) * standardised(second(queries))).astype(np.float32)

    return score


def standardised(scores: Scores) -> Scores:
    """Return scores `[users, items]` less each user's mean, in standard deviations; 0 where all are alike."""
    spread = scores.std(axis=1, keepdims=True)
    centred = scores - scores.mean(axis=1, keepdims=True)
    found: Scores = np.divide(centred, spread, out=np.zeros_like(scores), where=spread > 0)
    return found
