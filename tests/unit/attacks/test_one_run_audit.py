"""The one-run estimator by hand arithmetic, against its authors' loop and opake, and by brute force."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from fedrec.attacks.audit.one_run import epsilon_at_least, guess, lower_bound, p_value, right_guesses
from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import Release, epsilon


def test_without_delta_the_p_value_is_a_binomial_tail():
    # epsilon log 3 lets a guess be right with chance 3/4: two of two (3/4)^2, at least one of two 1 - (1/4)^2
    assert p_value(2, 2, 2, math.log(3), 0.0) == pytest.approx(9 / 16)
    assert p_value(2, 2, 1, math.log(3), 0.0) == pytest.approx(15 / 16)


def test_delta_adds_twice_the_canaries_times_the_steepest_share_of_what_lies_below():
    # One fair guess: 1/2, and below it lies P[0 right] = 1/2 in one step: 1/2 + 2 * 1 * 0.1 * 1/2
    assert p_value(1, 1, 1, 0.0, 0.1) == pytest.approx(0.6)
    # Two fair guesses: 1/4; below lie 1/2 in one step, 3/4 in two, so 1/2: 1/4 + 2 * 4 * 0.01 * 1/2
    assert p_value(4, 2, 2, 0.0, 0.01) == pytest.approx(0.29)


def test_no_right_guess_and_no_guess_prove_nothing():
    assert p_value(5, 3, 0, 1.0, 0.01) == 1.0
    assert epsilon_at_least(5, 0, 0, 0.01) == 0.0
    assert epsilon_at_least(100, 100, 50, 0.0) == 0.0


@pytest.mark.parametrize("guesses", [10, 100])
def test_all_right_proves_what_chance_would_give_five_times_in_a_hundred(guesses):
    # q^n = 0.05, and q = e^epsilon / (1 + e^epsilon)
    q = 0.05 ** (1 / guesses)
    assert epsilon_at_least(guesses, guesses, guesses, 0.0) == pytest.approx(math.log(q / (1 - q)))


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "confidence", "wanted"),
    [
        (100, 100, 100, 0.95, 3.4930),
        (100, 50, 48, 0.95, 1.9866),
        (100, 100, 70, 0.95, 0.4717),
        (1000, 200, 180, 0.95, 1.7988),
        (1000, 500, 300, 0.99, 0.1901),
        (10, 10, 6, 0.95, 0.0),
    ],
)
def test_without_delta_opake_says_the_same(canaries, guesses, right, confidence, wanted):
    # opake-auditing 0.16.1 (`pip download --no-deps opake-auditing`), to its own tolerance of 1e-4:
    # EpsDeltaMethod(estimate with r = guesses, u = guesses - right).epsilon_at(delta=0, significance=1 - confidence).
    # With a delta the bounds differ: theirs is that of Xiang et al. 2025, ours that of Steinke et al. 2023.
    assert epsilon_at_least(canaries, guesses, right, 0.0, confidence) == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("numbers", [(100, 50, 48, 1.0, 1e-3), (1000, 300, 200, 0.3, 1e-2), (20, 20, 3, 0.0, 0.1)])
def test_the_p_value_is_that_of_the_authors_loop(numbers):
    # Steinke, Nasr and Jagielski 2023, appendix D
    m, r, v, eps, delta = numbers
    q = 1 / (1 + math.exp(-eps))
    alpha = total = 0.0
    for i in range(1, v + 1):
        total += binom.pmf(v - i, r, q)
        alpha = max(alpha, total / i)
    assert p_value(*numbers) == pytest.approx(min(1, binom.sf(v - 1, r, q) + alpha * delta * 2 * m))


def test_more_right_and_more_confidence_less_delta_move_the_bound_the_right_way():
    base = epsilon_at_least(100, 80, 70, 1e-4)
    assert epsilon_at_least(100, 80, 71, 1e-4) > base
    assert epsilon_at_least(100, 80, 70, 1e-5) > base
    assert epsilon_at_least(100, 80, 70, 1e-4, 0.99) < base


def test_the_highest_half_is_called_in_and_the_lowest_out():
    scores, included = np.array([0.1, 0.9, 0.5, 0.4]), np.array([False, True, False, True])
    assert right_guesses(scores, included, 2) == 2  # 0.9 is in, 0.1 is out
    assert right_guesses(scores, included, 4) == 2  # and 0.5 is out, 0.4 is in
    assert right_guesses(scores, included, 0) == 0
    assert right_guesses(scores, included, 3) == 2  # rounded down to two


@pytest.mark.parametrize(
    "numbers",
    [(5, 6, 1, 0.0, 0.1), (5, 3, 4, 0.0, 0.1), (5, 3, 3, -1.0, 0.1), (5, 3, 3, 0.0, 1.5), (5, 3, -1, 0.0, 0.1)],
)
def test_numbers_that_do_not_fit_are_refused(numbers):
    with pytest.raises(PrivacyError, match="right <= guesses <= canaries"):
        p_value(*numbers)


def test_a_missing_score_and_a_strange_confidence_are_refused():
    with pytest.raises(PrivacyError, match="1 of 2 canaries have no score"):
        guess(np.array([0.0, np.nan]), np.array([True, False]))
    with pytest.raises(PrivacyError, match="confidence is 1"):
        epsilon_at_least(1, 1, 1, 0.0, 1.0)


def test_no_canary_proves_nothing():
    assert lower_bound(guess(np.empty(0), np.empty(0, dtype=bool)), 1e-5).epsilon == 0.0


def test_randomised_response_is_refuted_in_at_most_five_of_a_hundred_audits():
    # The mechanism for which the theorem is tight: each coin is told, right with chance e / (1 + e).
    rng, audits, canaries = np.random.default_rng(0), 200, 60
    coins = rng.random((audits, canaries)) < 0.5
    told = np.where(rng.random((audits, canaries)) < math.e / (1 + math.e), coins, ~coins)
    refuted = sum(lower_bound(guess(a.astype(float), b), 0.0).epsilon > 1 for a, b in zip(told, coins, strict=True))
    assert refuted <= 0.05 * audits + 3 * math.sqrt(0.05 * 0.95 * audits)


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_gaussian_noise_is_hardly_ever_refuted_and_little_of_it_shows(noise):
    rng, audits, canaries, delta = np.random.default_rng(1), 40, 100, 1e-5
    true = epsilon([Release(noise)], delta).pld
    bounds = []
    for _ in range(audits):
        coins = rng.random(canaries) < 0.5
        bounds.append(lower_bound(guess(coins + rng.normal(0, noise, canaries), coins), delta).epsilon)
    assert np.mean(np.array(bounds) > true) <= 0.05
    assert (np.median(bounds) > 1.0) == (noise < 1)


def test_a_bound_stands_beside_what_all_right_guesses_would_have_proved():
    # 661 users, delta 661^-1.1, three numbers of guesses: each is judged at 5/3 %
    coins = np.arange(100) < 50
    perfect, blind = guess(coins.astype(float), coins), guess(np.zeros(100), coins)
    assert perfect.counts == [(100, 100), (50, 50), (24, 24)]
    bound = lower_bound(perfect, 661**-1.1)
    assert (bound.epsilon, bound.most) == (pytest.approx(2.654, abs=1e-3), bound.epsilon)
    assert lower_bound(blind, 661**-1.1).most == bound.most
