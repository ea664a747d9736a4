"""The linear controls that know of order: by hand, and against least squares on rows that are written out."""

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.evaluation.controls.by_platform import Alone, fitted, rows_of
from fedrec.evaluation.controls.linear.ease import ease_recency_scorer, ease_scorer
from fedrec.evaluation.controls.linear.linear_next_item import next_item_scorer, next_item_weights
from fedrec.evaluation.controls.linear.linear_sum import standardised, sum_scorer
from fedrec.models.linear.histories import decayed_histories
from fedrec.models.linear.squares import solve_
from tests.handmade import interactions, queries

HALF = 1 / np.log(2)
"""The decay at which an item counts half of what the next one does: exp(-1 / decay) = 1/2."""

SEQUENCES = ([0, 1, 2, 3], [4, 2, 4, 4, 6], [5, 6], [1, 3, 5, 0], [2])
"""One user repeats an item, and one has a single row."""


def test_a_history_fades_by_half_an_item():
    faded = decayed_histories([np.array([2, 0, 1]), np.array([], dtype=np.int64), np.array([3, 1, 3])], 4, HALF)
    # 2 is two items ago: 1/4. A repeated item adds up: 1/4 + 1.
    np.testing.assert_allclose(faded.toarray(), [[1 / 2, 1, 1 / 4, 0], [0] * 4, [0, 1 / 2, 0, 5 / 4]])


def test_next_item_by_hand():
    # One user, items 0, 1, 2. Rows: (1, 0, 0) -> 1 and (1/2, 1, 0) -> 2, so with l2 = 1
    # X'X + I has the corner [[9/4, 1/2], [1/2, 2]] of determinant 17/4; X'Y is 1 at (0, 1) and (1, 2), 1/2 at (0, 2).
    # Its inverse is [[8, -2], [-2, 9]] / 17: column 1 is (8, -2) / 17, column 2 is (4 - 2, -1 + 9) / 17.
    weights = next_item_weights(interactions([[0, 1, 2]], 3), HALF, l2=1.0)
    np.testing.assert_allclose(weights, [[0, 8 / 17, 2 / 17], [0, -2 / 17, 8 / 17], [0, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("decay", [HALF, 5.0, 200.0])
def test_next_item_is_least_squares_on_the_rows_written_out(decay):
    pasts, following = [], []
    for items in SEQUENCES:
        for place in range(1, len(items)):
            past = np.zeros(7)
            for at, item in enumerate(items[:place]):
                past[item] += np.exp(-(place - 1 - at) / decay)
            pasts.append(past)
            following.append(np.eye(7)[items[place]])
    # ridge as plain least squares, with sqrt(l2) I below the rows
    inputs, wanted = np.vstack((pasts, np.sqrt(0.5) * np.eye(7))), np.vstack((following, np.zeros((7, 7))))
    direct, *_ = np.linalg.lstsq(inputs, wanted, rcond=None)
    found = next_item_weights(interactions(SEQUENCES), decay, l2=0.5)
    np.testing.assert_allclose(found, direct, atol=1e-12)
    history = [4, 2, 4]
    asked = decayed_histories([np.array(history)], 7, decay).toarray() @ direct
    np.testing.assert_allclose(
        next_item_scorer(interactions(SEQUENCES), decay, 0.5)(queries([history])), asked, atol=1e-6
    )


def test_recency_ease_is_ease_with_a_history_that_fades():
    rows = interactions(SEQUENCES)
    single, fading = ease_scorer(rows, 2.0)(queries([[4], [1]])), ease_recency_scorer(rows, HALF, 2.0)
    np.testing.assert_allclose(fading(queries([[4, 1]])), single[:1] / 2 + single[1:], rtol=1e-5, atol=1e-7)
    # what does not fade is plain EASE
    never = ease_recency_scorer(rows, 1e9, 2.0)(queries([[4, 1, 0]]))
    np.testing.assert_allclose(never, ease_scorer(rows, 2.0)(queries([[4, 1, 0]])), rtol=1e-5, atol=1e-7)


def test_a_sum_takes_scores_to_one_scale_first():
    scores = {0: [1.0, 3.0], 1: [400.0, 200.0], 2: [5.0, 5.0]}

    def scorer(key):
        return lambda asked: np.array([scores[key]] * len(asked), dtype=np.float32)

    # -1 and 1 of the first, half of 1 and -1 of the second
    np.testing.assert_allclose(sum_scorer(scorer(0), scorer(1), 0.5)(queries([[0]])), [[-0.5, 0.5]])
    np.testing.assert_allclose(sum_scorer(scorer(0), scorer(2), 0.5)(queries([[0]])), [[-1, 1]])
    np.testing.assert_array_equal(standardised(np.zeros((1, 3), dtype=np.float32)), [[0, 0, 0]])


def test_settings_that_solve_nothing_are_refused():
    with pytest.raises(ConfigError, match="linear_next_item needs an l2 penalty above 0, got 0"):
        next_item_weights(interactions(SEQUENCES), 5.0, l2=0)
    with pytest.raises(ConfigError, match="20001 items need about 3 GB"):
        next_item_weights(interactions(SEQUENCES, 20_001), 5.0, l2=1.0)
    with pytest.raises(ConfigError, match=r"mine cannot solve .* lost in rounding"):
        solve_("mine", np.ones((2, 2)), np.eye(2))


def test_each_platform_is_fitted_as_if_it_were_alone():
    books, films = interactions([[0, 1, 2], [2, 0]], 3), interactions([[1, 0], [0, 1, 0]], 2)
    both = interactions([[0, 1, 2], [2, 0], [4, 3], [3, 4, 3]], 5)
    platforms = Platforms(("books", "films"), np.array([0, 3, 5]), np.array([0, 2, 4]))
    parts = [rows_of(both, platforms, platform) for platform in range(2)]
    for part, own in zip(parts, (books, films), strict=True):
        np.testing.assert_array_equal(part.bounds, own.bounds)
        np.testing.assert_array_equal(part.item, own.item)
        assert part.num_items == own.num_items

    def fit(rows):
        return sum_scorer(ease_recency_scorer(rows, HALF, 1.0), next_item_scorer(rows, HALF, 1.0), 1.0)

    asked = Queries(np.array([3, 0, 2]), [np.array([4]), np.array([0, 1]), np.array([3, 4])], ())
    found = fitted(Alone(platforms, parts), fit)(asked)
    np.testing.assert_allclose(found[[0, 2], 3:], fit(films)(queries([[1], [0, 1]])))
    np.testing.assert_allclose(found[1:2, :3], fit(books)(queries([[0, 1]])))
    assert not found[[0, 2], :3].any()
    assert not found[1, 3:].any()
