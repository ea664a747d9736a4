"""Neighbours of items by the cosine of who touched them (Sarwar et al. 2001; as implicit's `CosineRecommender`)."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedrec.core.progress import Progress
from fedrec.data.interactions import Interactions
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, reference
from fedrec.evaluation.controls.by_platform import alone, fitted
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.linear.histories import binary_histories, touched_by
from fedrec.run.job import Job

NAME = "item_knn"
GRID: Grid = {"neighbours": (50, 20, 100, 200)}

BLOCK = 256
"""Items whose cosines are held at once."""


@CONTROLS.register(NAME)
def item_knn_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Nearest items by the cosine of who touched them."""
    del progress
    platforms = alone(job.prepared)

    def scorer_of(neighbours: float) -> Scorer:
        return fitted(platforms, lambda rows: item_knn_scorer(rows, int(neighbours)))

    settings = tuned(evaluator, NAME, GRID, scorer_of)
    return reference(evaluator.test(scorer_of(**settings)), in_words(evaluator, settings, GRID))


def item_knn_scorer(train: Interactions, neighbours: int) -> Scorer:
    """Return a scorer that adds up, over the items of a history, their cosine with each of their nearest neighbours.

    Order, repeats and values are ignored. Neighbours are chosen for the item that was touched, as implicit does, whose
    `K` counts the item itself, too. An item that nobody touched is nobody's neighbour.

    Args:
        train: Training interactions.
        neighbours: Of each item, at least one; of equally near ones the first are taken.
    """
    cosines = item_cosines(train, neighbours)

    def score(queries: Queries) -> Scores:
        found: NDArray[np.float64] = (binary_histories(queries.histories, train.num_items) @ cosines).toarray()
        return found.astype(np.float32)

    return score


def item_cosines(train: Interactions, neighbours: int) -> sparse.csr_array:
    """Return the cosine of each item, a row, with its nearest others, `[items, items]`; all else is 0."""
    touched = touched_by(train)
    lengths = np.sqrt(np.bincount(touched.indices, minlength=train.num_items))
    unit = (touched @ sparse.diags_array(1 / np.maximum(lengths, 1.0))).tocsr()
    by_item, parts = unit.T.tocsr(), []
    for first in range(0, train.num_items, BLOCK):
        cosines = (by_item[first : first + BLOCK] @ unit).toarray()
        own = np.arange(len(cosines))
        cosines[own, first + own] = 0.0
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :neighbours]
        kept = np.zeros_like(cosines)
        np.put_along_axis(kept, nearest, np.take_along_axis(cosines, nearest, axis=1), axis=1)
        parts.append(sparse.csr_array(kept))
    return sparse.vstack(parts, format="csr")
