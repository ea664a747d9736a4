"""List metrics by hand arithmetic, and against scipy where it has them."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from fedrec.core.errors import ConfigError
from fedrec.metrics.beyond_accuracy import LIST_METRICS, Lists, directions_of, kinds_of, list_metrics
from fedrec.metrics.beyond_accuracy.calibration import SMOOTHING, miscalibration, miscalibrations
from fedrec.metrics.beyond_accuracy.diversity import diversities, diversity
from fedrec.metrics.beyond_accuracy.exposure import exposure_gap_items, exposure_gap_kinds, exposures
from fedrec.metrics.beyond_accuracy.popularity import average_popularity, novelty, serendipities
from fedrec.metrics.beyond_accuracy.spread import coverage, gini

TWO = ([0, 1], [0])


def lists(items, num_items=4, histories=None, targets=None, **known):
    def arrays(rows):
        return [np.array(row, dtype=np.int64) for row in rows]

    histories = histories or [[num_items - 1]] * len(items)
    targets = targets or [[0]] * len(items)
    return Lists(arrays(items), arrays(histories), arrays(targets), num_items, **known)


def test_coverage_counts_items_recommended_to_anyone():
    assert coverage(lists(TWO)) == 2 / 4


def test_novelty_is_self_information_in_bits_with_one_added_to_each_count():
    counts = np.array([3, 0, 1, 0])  # smoothed: 4, 1, 2, 1 of 8
    first = (-math.log2(4 / 8) - math.log2(1 / 8)) / 2
    second = -math.log2(4 / 8)
    assert novelty(lists(TWO, counts=counts)) == pytest.approx((first + second) / 2)


def test_average_popularity_is_the_mean_over_users_of_the_mean_count():
    assert average_popularity(lists(TWO, counts=np.array([30, 10, 0, 0]))) == ((30 + 10) / 2 + 30) / 2


def test_gini_of_how_often_items_are_recommended():
    # frequencies 0, 0, 1, 2: ((-3)*0 + (-1)*0 + 1*1 + 3*2) / (4 * 3)
    assert gini(lists(TWO)) == pytest.approx(7 / 12)
    assert gini(lists([[0, 1], [2, 3]])) == pytest.approx(0.0)
    assert gini(lists([[2]])) == pytest.approx(1 - 1 / 4)


def test_diversity_is_one_less_the_mean_cosine_of_pairs():
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # cosines 0, 0.6, 0.8; the list of one item has no pair
    found = lists([[0, 1, 2], [0]], 3, directions=directions)
    assert diversity(found) == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)
    assert np.isnan(diversities(found.items, directions)).tolist() == [False, True]


def test_diversity_without_pairs_is_undefined():
    assert math.isnan(diversity(lists([[0]], 2, directions=np.eye(2))))


def test_vectors_count_by_direction_and_empty_ones_resemble_nothing():
    vectors = np.array([[5.0, 0.0], [0.1, 0.0], [0.0, 0.0]], dtype=np.float32)
    found = lists([[0, 1, 2]], 3, directions=directions_of(vectors))  # cosines 1, 0, 0
    assert list_metrics(found, (3,))["diversity@3"] == pytest.approx(1 - 1 / 3)


def test_each_cutoff_reads_its_own_part_of_the_lists():
    values = list_metrics(lists([[2, 0], [2]], 3, counts=np.array([5, 5, 9])), (1, 2))
    assert values["coverage@1"] == 1 / 3
    assert values["coverage@2"] == 2 / 3
    assert values["popularity@2"] == ((9 + 5) / 2 + 9) / 2


def test_what_is_not_known_leaves_out_the_metrics_that_read_it():
    bare = list_metrics(lists([[2, 0]], 3), (2,))
    assert bare.keys() == {"coverage@2", "gini@2", "exposure_gap_items@2"}
    known = lists([[2, 0]], 3, counts=np.ones(3), directions=np.eye(3), kinds=np.eye(3))
    assert list_metrics(known, (2,)).keys() == {f"{name}@2" for name in LIST_METRICS.names()}


# serendipity


def test_serendipity_is_the_share_that_is_relevant_and_that_popularity_would_not_have_listed():
    # most popular first: 0, 1, 2, 3, 4. The history is 0, so popularity would list 1 and 2.
    # listed and relevant: 1 and 4; of these 4 alone is unexpected: 1 of 2
    counts = np.array([9, 8, 7, 6, 5])
    found = lists([[1, 4], [1, 2]], 5, [[0], [0]], [[4, 1], [1, 2]], counts=counts)
    assert serendipities(found, found.counts).tolist() == [1 / 2, 0.0]


def test_popularity_lists_the_smaller_number_first_among_equals_and_as_many_as_the_list_has():
    # all alike, history 0: the only expected item is 1
    found = lists([[1], [2]], 4, [[0], [0]], [[1], [2]], counts=np.ones(4))
    assert serendipities(found, found.counts).tolist() == [0.0, 1.0]


def test_nothing_is_a_serendipity_to_who_chose_nothing():
    assert np.isnan(serendipities(lists([[1]], 3, [[0]], [[]]), np.ones(3))).all()


# calibration

GENRES = ["Comedy", "Comedy|Drama", "Drama", ""]


def test_an_item_of_several_kinds_counts_for_each_in_equal_parts():
    assert kinds_of(GENRES, "genres").tolist() == [[1, 0], [0.5, 0.5], [0, 1], [0, 0]]
    assert kinds_of(["a|a|", "b"], "genres").tolist() == [[1, 0], [0, 1]]
    assert kinds_of(["", ""], "genres").shape == (2, 0)


def test_an_attribute_that_names_items_is_no_kind_of_them():
    with pytest.raises(ConfigError, match=r"'title' has 1001 values.*evaluation.kinds"):
        kinds_of([f"film {item}" for item in range(1001)], "title")


def test_miscalibration_is_the_divergence_of_the_lists_kinds_from_the_historys():
    # history 0, 1: comedy 3/4, drama 1/4. list 2: drama alone, so q = (0, 1)
    found = lists([[2]], 4, [[0, 1]], kinds=kinds_of(GENRES, "genres"))
    comedy, drama = 0.01 * 3 / 4, 0.99 * 1 + 0.01 * 1 / 4
    by_hand = 3 / 4 * math.log(3 / 4 / comedy) + 1 / 4 * math.log(1 / 4 / drama)
    assert miscalibration(found) == pytest.approx(by_hand)
    assert miscalibration(found) == pytest.approx(entropy([3 / 4, 1 / 4], [comedy, drama]))


def test_miscalibration_agrees_with_scipy_on_random_lists():
    rng = np.random.default_rng(0)
    kinds = kinds_of(["|".join(rng.choice(list("abcdef"), 2)) for _ in range(30)], "genres")
    items, histories = ([rng.permutation(30)[:8] for _ in range(20)] for _ in range(2))
    p, q = (np.array([kinds[own].mean(axis=0) for own in rows]) for rows in (histories, items))
    expected = entropy(p, (1 - SMOOTHING) * q + SMOOTHING * p, axis=1)
    found = miscalibrations(items, histories, kinds)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_list_with_the_historys_kinds_is_calibrated_and_one_without_any_is_furthest():
    kinds = kinds_of(GENRES, "genres")
    found = miscalibrations([np.array([1]), np.array([3])], [np.array([0, 2])] * 2, kinds)
    np.testing.assert_allclose(found, [0.0, -math.log(SMOOTHING)], atol=1e-12)


def test_items_without_a_kind_say_nothing():
    kinds = kinds_of(GENRES, "genres")
    found = miscalibrations([np.array([0, 3]), np.array([0])], [np.array([0, 3]), np.array([3])], kinds)
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(found[1])
    assert math.isnan(miscalibration(lists([[0]], 4, [[3]], kinds=kinds)))


# exposure


def test_an_item_is_exposed_by_the_discount_of_each_place_that_it_has():
    # item 0: first and second place. item 1: second place
    assert exposures(lists([[0, 1], [2, 0]], 3)) == pytest.approx([1 + 1 / math.log2(3), 1 / math.log2(3), 1.0])


def test_the_gap_of_items_is_the_exposure_that_others_deserve():
    # exposure 1, 1 of items 0 and 1, thus 1/2 each; chosen: 0 once, 2 three times, thus 1/4, 0, 3/4
    found = lists([[0], [1]], 3, targets=[[0, 2], [2, 2]])
    assert exposure_gap_items(found) == pytest.approx((abs(1 / 2 - 1 / 4) + 1 / 2 + 3 / 4) / 2)
    assert exposure_gap_items(lists([[0], [1]], 3, targets=[[0], [1]])) == 0.0
    assert exposure_gap_items(lists([[0]], 3, targets=[[1]])) == 1.0


def test_the_gap_of_kinds_counts_an_item_for_each_of_its_kinds():
    # listed: Comedy alone. chosen: item 1, half Comedy and half Drama. (1/2 + 1/2) / 2
    kinds = kinds_of(GENRES, "genres")
    assert exposure_gap_kinds(lists([[0]], 4, targets=[[1]], kinds=kinds)) == pytest.approx(1 / 2)
    # other items of the same kind are as good
    assert exposure_gap_kinds(lists([[0, 2]], 4, targets=[[0]], kinds=kinds[[2, 0, 2, 3]])) == 0.0


def test_without_a_choice_or_a_kind_exposure_deserves_nothing_in_particular():
    kinds = kinds_of(GENRES, "genres")
    assert math.isnan(exposure_gap_items(lists([[0]], 4, targets=[[]])))
    assert math.isnan(exposure_gap_kinds(lists([[3]], 4, targets=[[0]], kinds=kinds)))
    assert math.isnan(exposure_gap_kinds(lists([[0]], 4, targets=[[3]], kinds=kinds)))
