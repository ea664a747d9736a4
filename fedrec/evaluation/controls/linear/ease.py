"""EASE, the ridge regression of every item on all others (Steck 2019), and the same with a history that fades.

`ease_recency` differs in the history alone, where an item counts exp(-age / decay), as where SLIST is asked (Choi et
al. 2021): what was touched last says most of what comes next.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedrec.core.progress import Progress
from fedrec.data.interactions import Interactions
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import Alone, alone, fitted, together
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.linear.histories import binary_histories, decayed_histories
from fedrec.models.linear.item_item import ease_weights_, pair_counts
from fedrec.models.linear.squares import require_solvable
from fedrec.run.job import Job

L2 = 300.0
"""Ridge penalty of the control `ease`, which suits MovieLens."""

RECENCY = "ease_recency"
RECENCY_GRID: Grid = {"decay": (10.0, 5.0, 20.0, 50.0), "l2": (300.0, 100.0, 1_000.0)}


@CONTROLS.register("ease")
def ease_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """EASE on the training users' interactions."""
    del progress
    return reference(evaluator.test(ease_scorer(job.prepared.train, L2)), f"lambda {L2:g}")


@CONTROLS.register(RECENCY)
def ease_recency_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """EASE asked with a history that fades."""
    del progress
    platforms = alone(job.prepared)
    settings = tuned_ease_recency(evaluator, platforms)
    test = evaluator.test(fitted(platforms, lambda rows: ease_recency_scorer(rows, **settings)))
    return reference(test, in_words(evaluator, settings, RECENCY_GRID))


def tuned_ease_recency(evaluator: Evaluator, platforms: Alone) -> dict[str, float]:
    """Return the penalty and decay that validation users like best."""

    @lru_cache(maxsize=1)
    def weights(l2: float) -> list[NDArray[np.float64]]:
        return [ease_weights(RECENCY, rows, l2) for rows in platforms.rows]

    def scorer_of(decay: float, l2: float) -> Scorer:
        return together(platforms, [recency_scorer(own, decay) for own in weights(l2)])

    return tuned(evaluator, RECENCY, RECENCY_GRID, scorer_of)


def ease_recency_scorer(train: Interactions, decay: float, l2: float) -> Scorer:
    """Return EASE's weights (see `ease_scorer`) asked with a history that fades (see `recency_scorer`)."""
    return recency_scorer(ease_weights(RECENCY, train, l2), decay)


def ease_scorer(train: Interactions, l2: float = L2) -> Scorer:
    """Return EASE: the ridge regression of every item on all others (Steck, 2019, eq. 8).

    With the binary user-item matrix `X` and `P = (X'X + l2 I)^-1`, the weights are `B = I - P / diag(P)`
    (column-wise), whose diagonal is zero; a history scores `x B`. Order, repeats and values are ignored.

    Args:
        train: Training interactions; users without rows add nothing.
        l2: Ridge penalty, above 0.

    Returns:
        The fitted scorer; an empty history scores 0 everywhere.

    Raises:
        ConfigError: If `l2` is not positive, or the catalogue has more than `MAX_ITEMS` items, whose
            dense square matrix would not fit a workstation's memory.
    """
    weights = ease_weights("ease", train, l2)

    def score(queries: Queries) -> Scores:
        scores: NDArray[np.float64] = binary_histories(queries.histories, train.num_items) @ weights
        return scores.astype(np.float32)

    return score


def recency_scorer(weights: NDArray[np.float64], decay: float) -> Scorer:
    """Return a scorer of linear weights, `[items, items]`, and a history that fades (see `decayed_histories`)."""

    def score(queries: Queries) -> Scores:
        scores: NDArray[np.float64] = decayed_histories(queries.histories, len(weights), decay) @ weights
        return scores.astype(np.float32)

    return score


def ease_weights(name: str, train: Interactions, l2: float) -> NDArray[np.float64]:
    """Return `B` of `ease_scorer`, `[items, items]`, made in the one square that is ever held."""
    require_solvable(name, train.num_items, l2)
    return ease_weights_(name, pair_counts(train), l2)
