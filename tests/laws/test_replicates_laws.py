"""What holds for every sweep: whom an interval may not depend on, and how often it is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedrec.evaluation.statistics.replicates import Estimate, Scored, estimate, paired

PEOPLE, TEST_USERS = 400, 80


@st.composite
def models(draw: st.DrawFn) -> list[Scored]:
    """Splits of a few people, some of them in several, each with one or two seeds."""
    found = []
    for split in range(draw(st.integers(1, 3))):
        users = np.array(draw(st.lists(st.integers(0, 9), min_size=2, max_size=6, unique=True)))
        for seed in range(draw(st.integers(1, 2))):
            values = draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=len(users), max_size=len(users)))
            found.append(Scored(str(split), seed, users, np.array(values)))
    return found


def numbers(found: Estimate) -> tuple[float, ...]:
    return (found.mean, found.error, found.interval.low, found.interval.high, found.users)


@settings(max_examples=40)
@given(models(), st.randoms(use_true_random=False))
def test_neither_the_order_of_models_nor_the_names_of_people_matter(found: list[Scored], shuffle: object) -> None:
    order = list(found)
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    renamed = [Scored(f"x{one.split}", one.seed, 100 - one.users, one.values) for one in order]
    assert numbers(estimate(renamed)) == pytest.approx(numbers(estimate(found)), nan_ok=True, abs=1e-9)


@settings(max_examples=40)
@given(models())
def test_bounds_surround_the_mean_within_the_range(found: list[Scored]) -> None:
    interval = estimate(found, (0.0, 1.0)).interval
    assert 0.0 <= interval.low <= interval.mean + 1e-12
    assert interval.mean - 1e-12 <= interval.high <= 1.0


@settings(max_examples=40)
@given(models())
def test_the_test_finds_a_difference_where_the_interval_leaves_zero_out(found: list[Scored]) -> None:
    other = [Scored(one.split, one.seed, one.users, one.values[::-1] / 2) for one in found]
    gap = estimate(paired(found, other), (-1.0, 1.0))
    forth, back = gap, estimate(paired(other, found), (-1.0, 1.0))
    assert (forth.mean, forth.p_value) == pytest.approx((-back.mean, back.p_value), abs=1e-9)
    if gap.error > 1e-9 and abs(gap.p_value - 0.05) > 1e-6:
        assert (gap.p_value < 0.05) == (gap.interval.low > 0 or gap.interval.high < 0)


def sampled(rng: np.random.Generator, training: float, mean: float = 0.0) -> list[Scored]:
    """Five splits of people who differ by 0.2, in a split by another 0.1; models differ by `training`."""
    people: NDArray[np.float64] = rng.normal(mean, 0.2, PEOPLE)
    found = []
    for split in range(5):
        users = rng.permutation(PEOPLE)[:TEST_USERS]
        values = people[users] + rng.normal(0, 0.1, TEST_USERS) + rng.normal(0, training)
        found.append(Scored(str(split), 0, users, values))
    return found


def covered(training: float) -> np.floating:
    rng = np.random.default_rng(7)
    found = [estimate(sampled(rng, training)).interval for _ in range(500)]
    return np.mean([one.low <= 0 <= one.high for one in found])


def test_an_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    # 500 intervals: the standard error of a share of 95 % is .010
    assert 0.93 <= covered(training=0.03) <= 0.985


def test_where_training_differs_in_nothing_an_interval_is_wider_than_it_need_be() -> None:
    # what splits differ by is cut off at 0, so that on average it is too much: 97.6 % of 3,000 intervals
    assert covered(training=0.0) >= 0.95


def test_over_users_alone_it_would_not_where_training_differs() -> None:
    rng = np.random.default_rng(7)
    pooled = []
    for _ in range(200):
        models_ = sampled(rng, 0.05)
        users, values = (np.concatenate([getattr(one, name) for one in models_]) for name in ("users", "values"))
        first = np.unique(users, return_index=True)[1]
        pooled.append(estimate([Scored("all", 0, users[first], values[first])]).interval)
    assert np.mean([one.low <= 0 <= one.high for one in pooled]) < 0.85


def test_what_is_as_large_as_the_minimal_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(3)
    users = np.arange(100)
    # 100 users who differ by 1: (t(97.5 %) + t(80 %)) / sqrt(100), 99 degrees of freedom
    least = (1.9842 + 0.8453) / 10
    found = [estimate([Scored("0", 0, users, rng.normal(least, 1, 100))]) for _ in range(500)]
    assert np.mean([one.p_value < 0.05 for one in found]) == pytest.approx(0.8, abs=0.045)
    assert np.mean([one.minimal_difference for one in found]) == pytest.approx(least, rel=0.02)
