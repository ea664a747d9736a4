"""EASE, popularity and random scores, on matrices small enough to solve directly."""

import tracemalloc

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import Interactions
from fedrec.data.platform import Platforms
from fedrec.evaluation.controls.linear.ease import ease_scorer
from fedrec.evaluation.controls.uninformed import popularity_odds_scorer, popularity_scorer, random_scorer
from tests.handmade import queries


def interactions(pairs, num_users=None, num_items=None):
    user, item = np.array(pairs, dtype=np.int64).T
    return Interactions.from_rows(
        user,
        item,
        np.arange(len(user)),
        np.ones(len(user), dtype=np.float32),
        num_users or int(user.max()) + 1,
        num_items or int(item.max()) + 1,
    )


MATRIX = (np.random.default_rng(0).random((30, 6)) < 0.4).astype(np.float64)
TRAIN = interactions(np.argwhere(MATRIX))


def test_ease_solves_the_least_squares_problem_with_a_zero_diagonal():
    # row i of the weights is what a history of item i alone scores
    weights = ease_scorer(TRAIN, l2=2.0)(queries([[item] for item in range(6)]))
    for column in range(6):
        others = np.delete(np.arange(6), column)
        inputs, wanted = MATRIX[:, others], MATRIX[:, column]
        direct = np.linalg.solve(inputs.T @ inputs + 2.0 * np.eye(5), inputs.T @ wanted)
        np.testing.assert_allclose(weights[others, column], direct, rtol=1e-5, atol=1e-7)
        assert weights[column, column] == 0.0


def test_ease_adds_up_the_history_and_ignores_order_and_repeats():
    score = ease_scorer(TRAIN)
    one, two, both, again = score(queries([[1], [4], [1, 4], [4, 1, 4]]))
    np.testing.assert_allclose(both, one + two, rtol=1e-6)
    np.testing.assert_array_equal(both, again)


def test_ease_counts_a_repeated_training_row_once():
    repeated = interactions(np.concatenate([np.argwhere(MATRIX)] * 2))
    np.testing.assert_allclose(ease_scorer(repeated)(queries([[1]])), ease_scorer(TRAIN)(queries([[1]])), rtol=1e-6)


def test_ease_knows_nothing_of_an_empty_history():
    np.testing.assert_array_equal(ease_scorer(TRAIN)(queries([[]])), np.zeros((1, 6)))


def test_ease_holds_one_square_of_the_catalogue_and_no_second():
    items, rng = 2_000, np.random.default_rng(0)
    train = interactions(rng.integers((500, items), size=(40_000, 2)), 500, items)
    square = 8 * items**2
    tracemalloc.start()
    try:
        score = ease_scorer(train)
        score(queries([np.arange(items)] * 4))  # a history as long as the catalogue copies no square either
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert square < peak < 1.5 * square  # half a square for blocks of rows


def test_ease_refuses_what_it_cannot_invert():
    with pytest.raises(ConfigError, match="20001 items need about 3 GB"):
        ease_scorer(interactions([[0, 0]], num_items=20_001))
    with pytest.raises(ConfigError, match="penalty above 0, got 0"):
        ease_scorer(TRAIN, l2=0)
    # two items of the same user: [[1, 1], [1, 1]] has no inverse, and 1 + 1e-20 is 1
    with pytest.raises(ConfigError, match="lost in rounding; raise it"):
        ease_scorer(interactions([[0, 0], [0, 1]]), l2=1e-20)


def test_popularity_counts_training_interactions_for_everybody():
    score = popularity_scorer(interactions([[0, 2], [1, 2], [1, 0]], num_items=4))
    np.testing.assert_array_equal(score(queries([[0], [2, 3]])), [[1, 0, 2, 0]] * 2)


def test_popularity_odds_compare_each_item_with_the_mean_of_its_own_platform():
    rows = interactions([[0, 0], [1, 0], [2, 2], [3, 2], [4, 2]], num_items=4)
    platforms = Platforms(("a", "b"), np.array([0, 2, 4]), np.array([0, 2, 5]))
    # with one added, counts are 3, 1 of the first platform, whose mean is 2, and 4, 1 of the second, whose mean is 2.5
    expected = np.log([3 / 2, 1 / 2, 4 / 2.5, 1 / 2.5])
    np.testing.assert_allclose(popularity_odds_scorer(rows, platforms)(queries([[0], [2]])), [expected] * 2, rtol=1e-6)


def test_random_scores_follow_the_history_and_not_the_batch():
    score = random_scorer(0, 20)
    first, second = np.array([3, 1]), np.array([1, 3])
    together = score(queries([first, second]))
    np.testing.assert_array_equal(together, np.concatenate([score(queries([first])), score(queries([second]))]))
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(together[0], random_scorer(1, 20)(queries([first]))[0])
