"""Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren and Volinsky 2008).

With `p = 1` where a user touched an item and 0 elsewhere, minimised is the sum over all users and items of
`c (p - x'y)^2`, plus `l2` times the squared length of all factors; `c` is `confidence` where `p = 1`, and 1 elsewhere.
These are implicit's `alpha` and `regularization`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Interactions
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import alone, fitted
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.linear.histories import binary_histories, touched_by
from fedrec.run.job import Job

NAME = "ials"
GRID: Grid = {"l2": (30.0, 10.0, 100.0), "confidence": (5.0, 2.0, 20.0), "factors": (64, 32, 128)}
ITERATIONS = 15
"""How often users and then items are solved for."""

START = 0.01
"""Standard deviation of the item factors before the first iteration, as in implicit."""

Factors = NDArray[np.float64]


@CONTROLS.register(NAME)
def ials_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Matrix factorisation of implicit feedback by alternating least squares."""
    del progress
    platforms, seed = alone(job.prepared), job.experiment.seed

    def scorer_of(l2: float, confidence: float, factors: float) -> Scorer:
        return fitted(platforms, lambda rows: ials_scorer(rows, int(factors), l2, confidence, seed))

    settings = tuned(evaluator, NAME, GRID, scorer_of)
    test = evaluator.test(scorer_of(**settings))
    return reference(test, f"{in_words(evaluator, settings, GRID)}, {ITERATIONS} iterations")


def ials_scorer(train: Interactions, factors: int, l2: float, confidence: float, seed: int) -> Scorer:
    """Return the factorisation; whoever is scored gets the factors that are best for its history (it is folded in).

    Order, repeats and values are ignored; an empty history scores 0 everywhere.

    Args:
        train: Training interactions.
        factors: Of each user and item, at least one.
        l2: Penalty, above 0.
        confidence: Weight of what was touched, at least 1; what was not has 1.
        seed: Of the item factors before the first iteration.
    """
    touched = touched_by(train)
    by_item = touched.T.tocsr()
    items = rng_for(seed, "ials", "items").normal(0.0, START, (train.num_items, factors))
    for _ in range(ITERATIONS):
        users = best_factors(touched, items, l2, confidence)
        items = best_factors(by_item, users, l2, confidence)

    def score(queries: Queries) -> Scores:
        folded_in = best_factors(binary_histories(queries.histories, train.num_items), items, l2, confidence)
        return (folded_in @ items.T).astype(np.float32)

    return score


def best_factors(touched: sparse.csr_array, others: Factors, l2: float, confidence: float) -> Factors:
    """Return the factors of each row that minimise the loss, given those of the columns (Hu et al. 2008, eq. 4).

    Row `u` that touched the columns `Y_u` of `Y` solves `(Y'Y + (c - 1) Y_u'Y_u + l2 I) x = c Y_u'1`.

    Args:
        touched: 1 where a row touched a column, `[rows, columns]`.
        others: Factors of the columns, `[columns, factors]`.
        l2: Penalty, above 0.
        confidence: `c`.

    Returns:
        `[rows, factors]`; 0 for a row that touched nothing.
    """
    everything = others.T @ others + l2 * np.eye(others.shape[1])
    found = np.zeros((touched.shape[0], others.shape[1]))
    for row in np.flatnonzero(np.diff(touched.indptr)):
        own = others[touched.indices[touched.indptr[row] : touched.indptr[row + 1]]]
        found[row] = np.linalg.solve(everything + (confidence - 1) * (own.T @ own), confidence * own.sum(axis=0))
    return found
