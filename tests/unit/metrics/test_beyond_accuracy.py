"""List metrics by hand arithmetic."""

import math

import numpy as np
import pytest

from fedrec.metrics.beyond_accuracy import (
    average_popularity,
    coverage,
    diversity,
    exposure_gini,
    list_metrics,
    novelty,
)

LISTS = [np.array([0, 1]), np.array([0])]


def test_coverage_counts_items_recommended_to_anyone():
    assert coverage(LISTS, num_items=4) == 2 / 4


def test_novelty_is_self_information_in_bits_with_one_added_to_each_count():
    counts = np.array([3, 0, 1, 0])  # smoothed: 4, 1, 2, 1 of 8
    first = (-math.log2(4 / 8) - math.log2(1 / 8)) / 2
    second = -math.log2(4 / 8)
    assert novelty(LISTS, counts) == pytest.approx((first + second) / 2)


def test_average_popularity_is_the_mean_over_users_of_the_mean_count():
    assert average_popularity(LISTS, np.array([30, 10, 0, 0])) == ((30 + 10) / 2 + 30) / 2


def test_gini_of_exposure():
    # exposures 0, 0, 1, 2: ((-3)*0 + (-1)*0 + 1*1 + 3*2) / (4 * 3)
    assert exposure_gini(LISTS, num_items=4) == pytest.approx(7 / 12)
    assert exposure_gini([np.array([0, 1]), np.array([2, 3])], num_items=4) == pytest.approx(0.0)
    assert exposure_gini([np.array([2])], num_items=4) == pytest.approx(1 - 1 / 4)


def test_diversity_is_one_less_the_mean_cosine_of_pairs():
    directions = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    # cosines 0, 0.6, 0.8; the list of one item has no pair
    assert diversity([np.array([0, 1, 2]), np.array([0])], directions) == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)


def test_diversity_without_pairs_is_undefined():
    assert math.isnan(diversity([np.array([0])], np.eye(2)))


def test_vectors_count_by_direction_and_empty_ones_resemble_nothing():
    vectors = np.array([[5.0, 0.0], [0.1, 0.0], [0.0, 0.0]], dtype=np.float32)
    lists = np.array([[0, 1, 2]])  # cosines 1, 0, 0
    values = list_metrics(lists, (3,), 3, np.array([1, 1, 1]), vectors)
    assert values["diversity@3"] == pytest.approx(1 - 1 / 3)


def test_each_cutoff_reads_its_own_part_of_the_lists_and_skips_the_padding():
    values = list_metrics(np.array([[2, 0], [2, -1]]), (1, 2), 3, np.array([5, 5, 9]), None)
    assert values["coverage@1"] == 1 / 3
    assert values["coverage@2"] == 2 / 3
    assert values["popularity@2"] == ((9 + 5) / 2 + 9) / 2
    assert not any(name.startswith("diversity") for name in values)


def test_without_counts_that_may_be_shown_novelty_and_popularity_are_left_out():
    values = list_metrics(np.array([[2, 0]]), (2,), 3, None, None)
    assert values.keys() == {"coverage@2", "gini@2"}
