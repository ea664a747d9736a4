"""Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren and Volinsky 2008).

With `p = 1` where a user touched an item and 0 elsewhere, minimised is the sum over all users and items of
`c (p - x'y)^2`, plus `l2` times the squared length of all factors; `c` is `confidence` where `p = 1`, and 1 elsewhere.
These are implicit's `alpha` and `regularization`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.core.threads import one_thread
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
"""Item factors are drawn between 0 and this before the first iteration, as in implicit."""

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
    start = first_factors(train.num_items, factors, seed)
    return folding_in(fitted_factors(touched_by(train), start, l2, confidence)[1], l2, confidence)


def first_factors(num_items: int, factors: int, seed: int) -> Factors:
    """Return the factors of items before the first iteration, `[items, factors]`."""
    return START * rng_for(seed, "ials", "items").random((num_items, factors))


def fitted_factors(touched: sparse.csr_array, start: Factors, l2: float, confidence: float) -> tuple[Factors, Factors]:
    """Return the factors of users and of items, `[users, factors]` and `[items, factors]`, after all iterations."""
    by_item, items = touched.T.tocsr(), start
    for _ in range(ITERATIONS):
        users = best_factors(touched, items, l2, confidence)
        items = best_factors(by_item, users, l2, confidence)
    return users, items


def folding_in(items: Factors, l2: float, confidence: float) -> Scorer:
    """Return a scorer by the products of items' factors with the best ones for each history."""

    def score(queries: Queries) -> Scores:
        folded_in = best_factors(binary_histories(queries.histories, len(items)), items, l2, confidence)
        return (folded_in @ items.T).astype(np.float32)

    return score


def best_factors(touched: sparse.csr_array, others: Factors, l2: float, confidence: float) -> Factors:
    """Return the factors of each row that minimise the loss, given those of the columns (Hu et al. 2008, eq. 4).

    Row `u` that touched the columns `Y_u` of `Y` solves `(Y'Y + (c - 1) Y_u'Y_u + l2 I) x = c Y_u'1`: by torch, which
    can be told to use one thread. Of matrices this small numpy's threads only wait for each other, which on a busy
    machine multiplies the time.

    Args:
        touched: 1 where a row touched a column, `[rows, columns]`.
        others: Factors of the columns, `[columns, factors]`.
        l2: Penalty, above 0.
        confidence: `c`.

    Returns:
        `[rows, factors]`; 0 for a row that touched nothing.
    """
    found = torch.zeros(touched.shape[0], others.shape[1], dtype=torch.float64)
    with one_thread():
        known = torch.from_numpy(others)
        everything = known.T @ known + l2 * torch.eye(others.shape[1], dtype=known.dtype)
        for row in np.flatnonzero(np.diff(touched.indptr)).tolist():
            own = known[touched.indices[touched.indptr[row] : touched.indptr[row + 1]]]
            found[row] = torch.linalg.solve(everything + (confidence - 1) * (own.T @ own), confidence * own.sum(dim=0))
    return found.numpy()
