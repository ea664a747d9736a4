"""Bounds by trade-off curves: against jax-privacy's numbers, by their rate of false refutations, and what they add."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedrec.attacks.audit.f_dp import Gaussian, Points, claimed_curve, gaussian_bound, refuted_by, refutes
from fedrec.attacks.audit.one_run import Guesses, guess, lower_bound
from fedrec.privacy.accounting.prices import Release, epsilon


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "wanted"),
    [
        (100, 100, 100, 1e-5, 8.216186),
        (100, 50, 48, 1e-5, 4.039514),
        (100, 100, 70, 1e-5, 1.060703),
        (1000, 1000, 1000, 1e-5, 12.334571),
        (1000, 500, 400, 1e-3, 1.413309),
    ],
)
def test_jax_privacy_says_the_same(canaries, guesses, right, delta, wanted):
    # jax-privacy 2.0.0, jax_privacy.auditing._epsilon_one_run_fdp(0.0, canaries, guesses, right, 0.05, delta)
    bound = gaussian_bound(Guesses(canaries, [(guesses, right)]), delta)
    assert bound.epsilon == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize(("users", "canaries", "wanted"), [(561, 100, 5.002), (561, 1000, 8.646)])
def test_perfect_guesses_prove_five_with_100_canaries_and_eight_and_a_half_with_1000(users, canaries, wanted):
    # delta n^-1.1 of users and canaries together; 2.65 and 3.58 are all that the bound without a curve reaches
    coins, delta = np.arange(canaries) < canaries // 2, (users + canaries) ** -1.1
    perfect = guess(coins.astype(float), coins)
    bound = gaussian_bound(perfect, delta)
    assert (bound.epsilon, bound.most) == (pytest.approx(wanted, abs=1e-3), bound.epsilon)
    assert lower_bound(perfect, delta).epsilon < bound.epsilon - 2


def test_no_canary_and_blind_guesses_prove_nothing():
    assert gaussian_bound(guess(np.empty(0), np.empty(0, dtype=bool)), 1e-5).mu == 0.0
    assert gaussian_bound(Guesses(100, [(100, 50)]), 1e-5).epsilon == 0.0
    assert not refutes(Gaussian(0.0), 100, 100, 0, 0.05)


def test_a_curve_that_hides_nothing_is_never_refuted_and_one_that_hides_all_is_by_six_right_of_six():
    assert not refutes(Gaussian(math.inf), 100, 100, 100, 0.05)
    assert not refuted_by(Guesses(100, [(100, 100)]), claimed_curve([Release(0.0)]))
    # Six fair coins come out right with chance 1/64 = .016, four with chance 1/16
    assert refutes(Gaussian(0.0), 6, 6, 6, 0.05)
    assert not refutes(Gaussian(0.0), 4, 4, 4, 0.05)


def test_the_claimed_curve_without_sampling_is_the_gaussian_one():
    # Four rounds of noise 2: mu = sqrt(4) / 2
    curve = claimed_curve([Release(2.0, count=4)])
    for chance in (0.0, 1e-3, 0.4, 0.999, 1.0):
        assert curve.least(chance) == pytest.approx(norm.cdf(norm.ppf(chance) - 1.0), abs=1e-12)


def test_the_claimed_curve_with_sampling_lies_between_no_release_and_every_release():
    # An event of chance y under one neighbour has (1 - q) y + q Phi(Phi^-1(y) - 1) or more under the other
    curve = claimed_curve([Release(1.0, sampling_rate=0.3)])
    for chance in (0.01, 0.3, 0.9, 0.99):
        assert Gaussian(1.0).least(chance) <= curve.least(chance) <= chance
    assert curve.least(0.5) > Gaussian(1.0).least(0.5) + 0.1


def test_the_claimed_curve_of_noise_on_integers_lies_little_below_the_gaussian_one():
    curve = claimed_curve([Release(1.0, mechanism="skellam")])
    for chance in (0.1, 0.5, 0.9):
        assert 0 < curve.least(chance) <= Gaussian(1.0).least(chance) + 1e-9


def test_points_demand_what_epsilon_and_delta_say_of_an_event_and_of_its_complement():
    # epsilon log 2, delta 0.1: x >= (y - 0.1) / 2, and 1 - x <= 2 (1 - y) + 0.1
    curve = Points(np.array([math.log(2)]), np.array([0.1]))
    assert curve.least(0.5) == pytest.approx(0.2)
    assert curve.least(0.95) == pytest.approx(0.8)
    assert curve.least(0.05) == 0.0


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_a_true_curve_is_refuted_in_at_most_five_of_a_hundred_audits(noise):
    rng, audits, canaries = np.random.default_rng(1), 200, 100
    curve, refuted, above = claimed_curve([Release(noise)]), 0, 0
    true = epsilon([Release(noise)], 1e-5).pld
    for number in range(audits):
        coins = rng.random(canaries) < 0.5
        guessed = guess(coins + rng.normal(0, noise, canaries), coins)
        refuted += refuted_by(guessed, curve)
        above += number < 40 and gaussian_bound(guessed, 1e-5).epsilon > true
    assert refuted <= 0.05 * audits
    assert above <= 2


def test_too_little_noise_is_refuted_by_the_curve_and_not_by_its_point():
    # Noise .7 is claimed, epsilon 6.9 at delta 1e-5, and .2 is true; 400 canaries
    rng, delta = np.random.default_rng(0), 1e-5
    coins = rng.random(400) < 0.5
    guessed = guess(coins + rng.normal(0, 0.2, 400), coins)
    assert refuted_by(guessed, claimed_curve([Release(0.7)]))
    assert lower_bound(guessed, delta).epsilon < epsilon([Release(0.7)], delta).pld
