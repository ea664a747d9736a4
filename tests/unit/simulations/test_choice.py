"""Simulated choices by hand: multinomial logit with an outside option."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from fedrec.core.seeding import rng_for
from simulations.replay.choice import choice_share, choose

RNG = rng_for(0, "choice")


def test_a_look_ends_with_a_choice_as_often_as_the_list_outweighs_nothing() -> None:
    # weights 2 and 3 beside the outside option's 1
    assert choice_share(np.log([2.0, 3.0])) == pytest.approx(5 / 6)
    assert choice_share(np.array([])) == 0
    assert choice_share(np.array([1000.0, 0.0])) == 1


def test_choices_are_as_frequent_as_their_weights() -> None:
    utilities = np.log([2.0, 3.0])
    draws = [choose(utilities, 1, RNG).tolist() for _ in range(3_000)]
    counts = [draws.count([0]), draws.count([1]), draws.count([])]
    assert chisquare(counts, np.array([2, 3, 1]) / 6 * 3_000).pvalue > 0.001


def test_a_second_look_chooses_among_what_is_left() -> None:
    # after item 1 the weights are 2 and 1, and the other way round 3 and 1
    both = [tuple(found) for found in (choose(np.log([2.0, 3.0]), 2, RNG).tolist() for _ in range(3_000))]
    first = [found for found in both if found[:1] == (1,)]
    # (1, 0): item 1 at once, then item 0; (1,): item 1 and nothing after it, or nothing and then item 1
    expected = np.array([3 / 6 * 2 / 3, 3 / 6 * 1 / 3 + 1 / 6 * 3 / 6])
    counts = [first.count((1, 0)), first.count((1,))]
    assert chisquare(counts, expected / expected.sum() * len(first)).pvalue > 0.001


def test_nothing_is_chosen_twice_and_no_more_than_there_is() -> None:
    assert sorted(choose(np.full(3, 50.0), 10, RNG).tolist()) == [0, 1, 2]
    assert choose(np.full(3, -math.inf), 5, RNG).tolist() == []
    assert choose(np.full(3, 50.0), 0, RNG).tolist() == []
    assert choose(np.array([]), 4, RNG).tolist() == []


def test_the_same_name_draws_the_same_choices() -> None:
    one, two = (choose(np.zeros(20), 10, rng_for(3, "simulated choice", 2, 7)).tolist() for _ in range(2))
    assert one == two
