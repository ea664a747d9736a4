"""The test of noise itself, by hand arithmetic and by its rate of false alarms."""

import math

import numpy as np
import pytest

from fedrec.errors import PrivacyError
from fedrec.privacy.audit.noise import noise_check


def test_one_number_of_one_deviation_is_larger_than_68_in_a_hundred():
    # |x| <= 1 has chance 0.6827
    found = noise_check([np.array([2.0])], deviation=2.0)
    assert found.relative_deviation == 1.0
    assert found.p_scale == pytest.approx(math.erf(1 / math.sqrt(2)))
    assert found.p_repeated == 1.0


def test_two_arrows_in_the_plane_at_60_degrees_are_that_alike_twice_in_three_times():
    # |cos| >= 1/2 within 60 degrees of the line, on both sides and both ways: 240 of 360 degrees
    arrows = [np.array([1.0, 0.0]), 5 * np.array([0.5, math.sqrt(3) / 2])]
    assert noise_check(arrows, 1.0).p_repeated == pytest.approx(2 / 3)
    assert noise_check([arrows[0], np.array([0.0, 2.0])], 1.0).p_repeated == 1.0


@pytest.mark.parametrize("residuals", [[], [np.empty(0)], [np.empty(0), np.empty(0)]])
def test_nothing_shows_nothing(residuals):
    found = noise_check(residuals, 1.0)
    assert found.draws == len(residuals)
    assert math.isnan(found.relative_deviation)
    assert found.faults == []


def test_noise_that_is_not_claimed_cannot_be_checked():
    with pytest.raises(PrivacyError, match="cannot be checked"):
        noise_check([np.ones(2)], 0.0)


def test_half_the_noise_and_none_are_told_and_more_is_not():
    noise = list(np.random.default_rng(0).normal(size=(2, 100)))
    assert noise_check(noise, 1.0).faults == []
    half = noise_check([value / 2 for value in noise], 1.0)
    assert half.relative_deviation == pytest.approx(0.5, abs=0.05)
    assert "less than chance" in half.faults[0]
    assert "less than chance" in noise_check([value * 0 for value in noise], 1.0).faults[0]
    assert noise_check([value * 2 for value in noise], 1.0).faults == []


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.25])
def test_noise_used_twice_is_told_whatever_its_sign_and_size(factor):
    one, other = np.random.default_rng(0).normal(size=(2, 50))
    again = noise_check([one, other, factor * one], 1.0)
    assert "used again" in again.faults[-1]


def test_true_noise_is_called_false_no_more_often_than_stated():
    rng, checks, rate = np.random.default_rng(2), 500, 0.1
    alarms = sum(bool(noise_check(list(rng.normal(size=(5, 20))), 1.0, rate).faults) for _ in range(checks))
    assert alarms <= rate * checks + 3 * math.sqrt(rate * (1 - rate) * checks)
