"""The test of noise itself, by hand arithmetic and by its rate of false alarms."""

import math

import numpy as np
import pytest

from fedrec.attacks.audit.noise import noise_check


def one(numbers):
    """Return a draw of a single group of parameters."""
    return {"w": np.asarray(numbers, dtype=float)}


def test_one_number_of_one_deviation_is_the_32nd_hundredth_from_the_nearer_end():
    # |x| >= 1 has chance 0.3173, and both ends count
    found = noise_check([one([1.0])])
    assert found.updates.relative_deviation == 1.0
    assert found.updates.p == pytest.approx(2 * (1 - math.erf(1 / math.sqrt(2))))
    assert (found.groups, found.others, found.p_repeated) == ([], [], 1.0)


def test_two_arrows_in_the_plane_at_60_degrees_are_that_alike_twice_in_three_times():
    # |cos| >= 1/2 within 60 degrees of the line, on both sides and both ways: 240 of 360 degrees
    arrows = [one([1.0, 0.0]), one([2.5, 2.5 * math.sqrt(3)])]
    assert noise_check(arrows).p_repeated == pytest.approx(2 / 3)
    assert noise_check([arrows[0], one([0.0, 2.0])]).p_repeated == 1.0


@pytest.mark.parametrize("draws", [[], [one([])], [one([]), one([])]])
def test_nothing_shows_nothing(draws):
    found = noise_check(draws)
    assert found.draws == len(draws)
    assert math.isnan(found.updates.relative_deviation)
    assert found.updates.passes == (0.0, math.inf)
    assert found.faults == []


def test_half_the_noise_none_and_twice_the_noise_are_told():
    noise = np.random.default_rng(0).normal(size=(2, 100))
    assert noise_check([one(value) for value in noise]).faults == []
    half = noise_check([one(value / 2) for value in noise])
    assert half.updates.relative_deviation == pytest.approx(0.5, abs=0.05)
    assert "less than chance" in half.faults[0]
    assert "less than chance" in noise_check([one(value * 0) for value in noise]).faults[0]
    assert "more than chance" in noise_check([one(value * 2) for value in noise]).faults[0]


def test_noise_at_97_in_100_is_told_of_40000_numbers_and_passes_among_1000():
    noise = 0.97 * np.random.default_rng(0).normal(size=40_000)
    many, few = noise_check([one(noise)]), noise_check([one(noise[:1000])])
    assert "0.972 times the claimed: less than chance" in many.faults[0]
    assert few.faults == []
    low, high = few.updates.passes
    assert (low < 0.97, high > 1) == (True, True), "and says so"
    assert many.updates.passes[0] > 0.98


def test_a_group_without_noise_is_told_where_all_together_still_pass():
    rng = np.random.default_rng(0)
    draws = [{"large": rng.normal(size=5000), "small": np.zeros(20)} for _ in range(2)]
    found = noise_check(draws)
    assert found.updates.fault is None
    assert ["the noise of small is 0 times" in fault for fault in found.faults] == [True]


def test_other_releases_are_tested_beside():
    draws = [one(np.random.default_rng(0).normal(size=100))]
    assert "noise of item counts is 0 times" in noise_check(draws, {"item counts": np.zeros(30)}).faults[0]


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.25])
def test_noise_used_twice_is_told_whatever_its_sign_and_size(factor):
    first, other = np.random.default_rng(0).normal(size=(2, 50))
    assert "used again" in noise_check([one(first), one(other), one(factor * first)]).faults[-1]


def test_true_noise_is_called_false_no_more_often_than_stated():
    rng, checks, rate = np.random.default_rng(2), 400, 0.1
    alarms = 0
    for _ in range(checks):
        draws = [{"a": rng.normal(size=12), "b": rng.normal(size=8)} for _ in range(5)]
        alarms += bool(noise_check(draws, {"counts": rng.normal(size=9)}, rate).faults)
    assert alarms <= rate * checks + 3 * math.sqrt(rate * (1 - rate) * checks)
