"""Noise for an epsilon and the reverse, against closed forms, at the extremes, and where there is no answer."""

import math
import time
from itertools import pairwise

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import calibrate
from fedrec.privacy.calibration import Exposure, epsilon_of, noise_for

DELTA = 1e-5


def exact_delta(noise, epsilon):
    """Balle and Wang 2018, equation 6: delta of one Gaussian release, with mu = 1 / noise."""
    mu = 1 / noise
    return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu))


def exact_noise(epsilon, count):
    """Noise of `count` releases: that of one, times sqrt(count)."""
    return math.sqrt(count) * brentq(lambda noise: exact_delta(noise, epsilon) - DELTA, 1e-2, 1e3, xtol=1e-13)


@pytest.mark.parametrize(("epsilon", "rounds", "steps"), [(0.1, 1, 1), (1.0, 10, 1), (8.0, 20, 3), (100.0, 1, 1)])
def test_noise_without_amplification_is_balle_and_wangs(epsilon, rounds, steps):
    found = noise_for(Exposure(1.0, rounds, DELTA, steps), epsilon)
    exact = exact_noise(epsilon, rounds * steps)
    assert exact * (1 - 1e-9) <= found.noise_multiplier <= exact * 1.003
    # The exact delta at the claimed epsilon is at most delta: the claim is true.
    assert exact_delta(found.noise_multiplier / math.sqrt(rounds * steps), found.epsilon) <= DELTA * (1 + 1e-6)


def test_one_release_with_noise_1_costs_4_377():
    found = epsilon_of(Exposure(1.0, 1, DELTA), 1.0)
    assert found.epsilon == pytest.approx(4.3772, abs=1e-4)
    assert found.epsilon < found.epsilon_rdp < 4.8


@pytest.mark.parametrize("draw", ["without-replacement", "balls-in-bins"])
def test_secret_draws_have_their_own_price_there_and_back(draw):
    exposure = Exposure(0.1, 25, DELTA, draw=draw)
    # 25 rounds are two epochs of ten and one begun
    assert exposure.count == (3 if draw == "balls-in-bins" else 25)
    found = noise_for(exposure, 4.0)
    assert found.noise_multiplier == calibrate(4.0, DELTA, 0.1, exposure.count, draw=draw)
    assert epsilon_of(exposure, found.noise_multiplier) == found
    assert found.noise_multiplier != noise_for(Exposure(0.1, 25, DELTA), 4.0).noise_multiplier


def test_balls_need_a_whole_number_of_bins_to_have_a_price():
    for answer in (epsilon_of, noise_for):
        with pytest.raises(PrivacyError, match="1 over a whole number"):
            answer(Exposure(0.3, 25, DELTA, draw="balls-in-bins"), 4.0)


def test_steps_are_releases_like_rounds():
    # 4 rounds x 9 steps with noise 6 are one release with noise 6 / sqrt(36) = 1.
    for exposure in (Exposure(1.0, 4, DELTA, 9), Exposure(1.0, 36, DELTA)):
        assert epsilon_of(exposure, 6.0).epsilon == pytest.approx(4.3772, abs=1e-4)
    assert epsilon_of(Exposure(0.1, 4, DELTA, 9), 1.0) == epsilon_of(Exposure(0.1, 36, DELTA), 1.0)


@pytest.mark.parametrize("epsilon", [0.1, 8.0, 100.0])
@pytest.mark.parametrize(("rate", "rounds"), [(1.0, 1), (1.0, 10_000), (0.5, 10_000), (0.01, 10_000), (0.1, 1)])
def test_extremes_are_met_from_below(rate, rounds, epsilon):
    exposure = Exposure(rate, rounds, DELTA)
    found = noise_for(exposure, epsilon)
    assert epsilon * 0.99 <= found.epsilon <= epsilon
    assert epsilon_of(exposure, found.noise_multiplier) == found


@pytest.mark.parametrize(("rate", "rounds", "epsilon"), [(1e-4, 10_000, 8.0), (1e-3, 100, 2.0)])
def test_tiny_rates_are_met_from_below_in_seconds(rate, rounds, epsilon):
    start = time.process_time()
    assert epsilon * 0.99 <= noise_for(Exposure(rate, rounds, DELTA), epsilon).epsilon <= epsilon
    assert time.process_time() - start < 30


def test_a_target_that_a_round_noise_meets_exactly_is_found():
    # 0.5 and 1 bracket the answer, and only 1 itself is low enough: bisection alone never looks at it.
    exact = epsilon_of(Exposure(0.1, 30, DELTA), 1.0)
    assert noise_for(Exposure(0.1, 30, DELTA), exact.epsilon) == exact


def test_the_answer_is_what_a_run_calibrates():
    assert noise_for(Exposure(0.1, 10, DELTA, 3), 8.0).noise_multiplier == calibrate(8.0, DELTA, 0.1, 30)


def test_more_epsilon_delta_or_noise_and_fewer_rounds_or_coins_ask_for_less():
    noise = [noise_for(Exposure(0.1, 30, DELTA), epsilon).noise_multiplier for epsilon in (0.1, 1, 8, 100)]
    epsilons = [epsilon_of(Exposure(0.1, 30, DELTA), noise).epsilon for noise in (0.5, 0.7, 1, 2, 20)]
    by_delta = [noise_for(Exposure(0.1, 30, delta), 2.0).noise_multiplier for delta in (1e-9, 1e-5, 1e-3)]
    by_rounds = [noise_for(Exposure(0.1, rounds, DELTA), 2.0).noise_multiplier for rounds in (300, 30, 1)]
    by_rate = [noise_for(Exposure(rate, 30, DELTA), 2.0).noise_multiplier for rate in (1.0, 0.5, 0.1)]
    for falling in (noise, epsilons, by_delta, by_rounds, by_rate):
        assert all(left > right for left, right in pairwise(falling)), falling


def test_a_unit_that_is_hardly_ever_used_needs_no_noise_and_is_told():
    # 1 - (1 - 1e-6)^2 = 2e-6 < 1e-5 = delta
    with pytest.raises(PrivacyError, match=r"chance of 2e-06, at most delta 1e-05.*choose a smaller delta"):
        noise_for(Exposure(1e-6, 2, DELTA), 1.0)
    assert epsilon_of(Exposure(1e-6, 2, DELTA), 1.0).epsilon == 0


def test_a_delta_beyond_the_accountants_sight_is_told():
    with pytest.raises(PrivacyError, match="at least 1e-12"):
        epsilon_of(Exposure(0.1, 100, 1e-300), 1.0)
    with pytest.raises(PrivacyError, match="at least 1e-12"):
        noise_for(Exposure(0.1, 100, 1e-300), 1.0)


def test_without_noise_epsilon_is_infinite():
    assert epsilon_of(Exposure(0.1, 100, DELTA), 0.0).epsilon == math.inf


def test_so_much_noise_that_divergences_round_to_0_is_no_news(caplog):
    assert epsilon_of(Exposure(1e-4, 100, DELTA), 1000.0).epsilon == 0
    assert not caplog.records
