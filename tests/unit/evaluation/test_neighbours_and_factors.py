"""Item neighbours by hand; alternating least squares against the loss itself."""

import numpy as np
from scipy import sparse

from fedrec.evaluation.controls.ials import best_factors, ials_scorer
from fedrec.evaluation.controls.item_knn import item_cosines, item_knn_scorer
from tests.handmade import interactions, queries


def test_cosines_by_hand():
    # Users have {0, 1}, {0, 1, 2} (2 twice) and {2}; nobody has 3.
    # 0 and 1: 2 users of 2 and 2: 1. 0 and 2: 1 user of 2 and 2: 1/2. 1 and 2: likewise.
    rows = interactions([[0, 1], [0, 1, 2, 2], [2]], 4)
    cosines = [[0, 1, 1 / 2, 0], [1, 0, 1 / 2, 0], [1 / 2, 1 / 2, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(item_cosines(rows, 4).toarray(), cosines)
    # One neighbour each; of the two that are equally near to 2, the first.
    nearest = [[0, 1, 0, 0], [1, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(item_cosines(rows, 1).toarray(), nearest)
    np.testing.assert_allclose(
        item_knn_scorer(rows, 1)(queries([[0, 2, 2], [], [3]])), [[1 / 2, 1, 0, 0], [0] * 4, [0] * 4]
    )


def test_factors_by_hand():
    # One factor, items 1 and 2, of which the second was touched: Y'Y = 5, so (5 + (3 - 1) 4 + 1) x = 3 * 2, x = 6 / 14.
    touched = sparse.csr_array(np.array([[0.0, 1.0], [0.0, 0.0]]))
    found = best_factors(touched, np.array([[1.0], [2.0]]), l2=1.0, confidence=3.0)
    np.testing.assert_allclose(found, [[6 / 14], [0]])


def test_factors_are_those_of_weighted_least_squares():
    rng = np.random.default_rng(0)
    touched, others = (rng.random((6, 9)) < 0.4).astype(np.float64), rng.normal(size=(9, 3))
    found = best_factors(sparse.csr_array(touched), others, l2=0.7, confidence=4.0)
    for own, factors in zip(touched, found, strict=True):
        weight = np.sqrt(np.where(own > 0, 4.0, 1.0))
        inputs = np.vstack((weight[:, None] * others, np.sqrt(0.7) * np.eye(3)))
        direct, *_ = np.linalg.lstsq(inputs, np.concatenate((weight * own, np.zeros(3))), rcond=None)
        np.testing.assert_allclose(factors, direct, atol=1e-12)


def test_what_is_likely_to_be_touched_together_scores_above_what_is_not():
    rows = interactions([[0, 1, 2], [1, 2, 0], [3, 4, 5], [4, 5], [3, 5]], 6)
    score = ials_scorer(rows, factors=2, l2=0.1, confidence=5.0, seed=0)
    first, nothing, again = score(queries([[0, 1], [], [1, 0, 1]]))
    assert first[2] > 0.5 > max(first[3:])
    np.testing.assert_array_equal(nothing, np.zeros(6))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, ials_scorer(rows, 2, 0.1, 5.0, seed=0)(queries([[0, 1]]))[0])
