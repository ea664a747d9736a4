"""A linear model of the next item: a ridge regression from a fading past, in the manner of SLIT (Choi et al. 2021).

Every position of every training user is a row: the past as exp(-age / decay) of its items, an item's age being the
number of items after it, and the item that comes next as the only target. Unlike SLIT's, targets are not all later
items, and the weight of a row does not fall with its date.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from fedrec.core.progress import Progress
from fedrec.data.interactions import IntArray, Interactions
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import Alone, alone, fitted
from fedrec.evaluation.controls.ease import recency_scorer
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer
from fedrec.models.linear.squares import require_solvable, solve_
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
    """Return the regression (see `next_item_weights`), asked with a history that fades as its pasts did."""
    return recency_scorer(next_item_weights(train, decay, l2), decay)


def next_item_weights(train: Interactions, decay: float, l2: float) -> NDArray[np.float64]:
    """Return `B = (X'X + l2 I)^-1 X'Y`, `[items, items]`: row `i` is what a past of item `i` alone says comes next.

    `X` has a row for each training row but its user's first: the user's earlier items, each exp(-age / decay), an item
    that is repeated being a sum; `Y` is 1 at the row's own item.

    Args:
        train: Training interactions; users with fewer than two rows add nothing.
        decay: Above 0, in items.
        l2: Ridge penalty, above 0.

    Raises:
        ConfigError: If the penalty is not positive, or the catalogue is too large.
    """
    require_solvable(NAME, train.num_items, l2)
    gram, nexts = (np.zeros((train.num_items, train.num_items)) for _ in range(2))
    fade = np.exp(-1.0 / decay)
    for user in np.flatnonzero(np.diff(train.bounds) > 1):
        _add_user_(gram, nexts, train.items_of(int(user)), fade)
    gram[np.diag_indices_from(gram)] += l2
    solve_(NAME, gram, nexts)
    return nexts


def _add_user_(gram: NDArray[np.float64], nexts: NDArray[np.float64], items: IntArray, fade: float) -> None:
    """Add a user's part of `X'X` and of `X'Y`, without its rows: places `p <= q` meet in all rows after `q`.

    In the row of place `t`, place `p` counts `fade^(t - 1 - p)`, so the product of both is
    `fade^(q - p) fade^(2 (t - 1 - q))`, summed over `t` from `q + 1` to the last place.
    """
    powers = fade ** np.arange(len(items))
    apart = toeplitz(powers)
    rest = np.concatenate(([0.0], np.cumsum(powers[:-1] ** 2)))[::-1]
    places = (items[:, None] * len(gram) + items).ravel()
    for square, values in ((gram, apart * np.minimum.outer(rest, rest)), (nexts, np.triu(apart / fade, 1))):
        np.add.at(square.ravel(), places, values.ravel())  # a view; faster than in two dimensions, and repeats add up
