"""Correlated noise against explicit matrices, closed forms, another library's optimum, and independent noise."""

import json
import math
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.optimize import minimize
from scipy.stats import norm

from fedrec.core.errors import PrivacyError
from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting.banded import (
    best_bands,
    coefficients,
    expected_error,
    next_noise,
    noise_multiplier,
    prefix_error,
    prefix_errors,
    rate_in_group,
    square_root,
)
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from simulations.benchmarks import correlated

DELTA = 660**-1.1
SIZES = [(1, 1), (5, 1), (6, 2), (6, 3), (7, 3), (8, 8), (20, 4)]


def matrix(factor, rounds):
    """C itself: Toeplitz, its first column the coefficients and then zeros."""
    column = np.zeros(rounds)
    column[: len(factor)] = factor
    return np.tril(toeplitz(column))


def dense_error(factor, rounds):
    """||A C^-1||_F / sqrt(n) by explicit matrices."""
    return np.linalg.norm(np.tri(rounds) @ np.linalg.inv(matrix(factor, rounds))) / math.sqrt(rounds)


def patterns(rounds, apart):
    """All sets of rounds that are at least `apart` from each other."""
    for size in range(1, rounds + 1):
        for chosen in combinations(range(rounds), size):
            if all(later - sooner >= apart for sooner, later in pairwise(chosen)):
                yield chosen


def played(factor, fresh):
    """All rounds' noise by the recurrence, as a server adds it: it remembers bands - 1 rounds."""
    earlier, noises = [], []
    for z in fresh:
        noises.append(next_noise(z, earlier, factor))
        earlier = [noises[-1], *earlier][: len(factor) - 1]
    return np.array(noises)


# What C is.


@pytest.mark.parametrize(("rounds", "bands"), SIZES)
def test_columns_have_norm_1_but_for_the_last_that_are_cut_off(rounds, bands):
    norms = np.linalg.norm(matrix(coefficients(bands, rounds), rounds), axis=0)
    assert norms[: rounds - bands + 1] == pytest.approx(1, abs=1e-12)
    assert (norms <= 1 + 1e-12).all()


@pytest.mark.parametrize(("rounds", "bands"), SIZES)
def test_columns_that_are_as_many_rounds_apart_as_there_are_bands_share_no_row(rounds, bands):
    c = matrix(coefficients(bands, rounds), rounds)
    for first, second in combinations(range(rounds), 2):
        if second - first >= bands:
            assert c[:, first] @ c[:, second] == 0
            assert not ((c[:, first] != 0) & (c[:, second] != 0)).any()


def test_one_band_is_independent_noise():
    assert coefficients(1, 50).tolist() == [1.0]
    # variances 1, 2, 3 of the sums: mean 2
    assert prefix_error(3, 1) == pytest.approx(math.sqrt(2))
    assert prefix_errors([1.0], 3) == pytest.approx([1, math.sqrt(2), math.sqrt(3)])


def test_there_are_no_more_bands_than_rounds_and_the_same_numbers_every_time():
    assert len(coefficients(5, 3)) == 3
    found = coefficients(3, 10)
    found[:] = 0  # whoever changes an answer changes nobody else's
    assert coefficients(3, 10)[0] > 0
    assert coefficients(3, 10).tolist() == coefficients(3, 10).tolist()


def test_the_square_root_of_the_triangle_of_ones_by_hand():
    # 1, 1/2, (1/2)(3/4), (3/8)(5/6): multiplied with itself as a series, 1/sqrt(1-x) gives 1/(1-x).
    root = np.array([1, 1 / 2, 3 / 8, 5 / 16])
    assert matrix(root, 4) @ matrix(root, 4) == pytest.approx(np.tri(4))
    assert square_root(4) == pytest.approx(root / np.linalg.norm(root))


# What a round adds.


@pytest.mark.parametrize(("rounds", "bands"), SIZES)
def test_the_recurrence_is_the_inverse_of_c(rounds, bands):
    fresh = rng_for(1, "banded test").normal(size=(rounds, 2, 3))
    factor = coefficients(bands, rounds)
    dense = np.einsum("ts,sij->tij", np.linalg.inv(matrix(factor, rounds)), fresh)
    assert played(factor, fresh) == pytest.approx(dense, abs=1e-12)


def test_noise_of_two_bands_by_hand_and_arguments_stay_as_they_are():
    # c = (0.8, 0.6): first 4 / 0.8 = 5, then (7 - 0.6 * 5) / 0.8 = 5.
    fresh, past = np.array([7.0]), np.array([5.0])
    assert next_noise(np.array([4.0]), [], (0.8, 0.6)).tolist() == [5.0]
    assert next_noise(fresh, [past], (0.8, 0.6)) == pytest.approx(np.array([5.0]))
    assert (fresh.tolist(), past.tolist()) == ([7.0], [5.0])
    assert next_noise(fresh, [], (1.0,)) is not fresh


def test_what_is_older_than_the_bands_is_not_looked_at():
    one = np.ones(1)
    assert next_noise(one, [one, 100 * one], (0.8, 0.6)) == pytest.approx(next_noise(one, [one], (0.8, 0.6)))


@pytest.mark.parametrize("bands", [1, 3, 10])
def test_noise_drawn_and_added_up_has_the_deviations_that_are_told(bands):
    # 20,000 runs: a deviation is known within 1 / sqrt(40,000) = 0.5 %, six of which are 3 %.
    fresh = rng_for(2, "banded test").normal(size=(10, 20_000))
    factor = coefficients(bands, 10)
    sums = np.cumsum(played(factor, fresh), axis=0)
    assert sums.std(axis=1) == pytest.approx(prefix_errors(factor, 10), rel=0.03)
    assert math.sqrt((sums**2).mean()) == pytest.approx(prefix_error(10, bands), rel=0.03)


# Whether it is the best.


@pytest.mark.parametrize(("rounds", "bands"), SIZES)
def test_errors_are_those_of_explicit_matrices(rounds, bands):
    assert prefix_error(rounds, bands) == pytest.approx(dense_error(coefficients(bands, rounds), rounds))


def test_two_rounds_have_their_optimum_where_the_derivative_is_0():
    # c = (1, a): (1 + a^2) (2 + (1 - a)^2) / 2 is least where 2 a^3 - 3 a^2 + 4 a - 1 = 0, which has one real root.
    (a,) = (root.real for root in np.roots([2, -3, 4, -1]) if abs(root.imag) < 1e-12)
    assert coefficients(2, 2) == pytest.approx(np.array([1, a]) / math.hypot(1, a), abs=1e-7)
    assert prefix_error(2, 2) == pytest.approx(math.sqrt((1 + a**2) * (2 + (1 - a) ** 2) / 2))


@pytest.mark.parametrize(("rounds", "bands"), [(6, 2), (6, 3), (7, 7)])
def test_no_search_over_dense_matrices_from_random_starts_finds_better(rounds, bands):
    rng = rng_for(3, "banded test")

    def error(tail):
        factor = np.array([1.0, *tail])
        return np.linalg.norm(factor) * dense_error(factor, rounds)

    for _ in range(3):
        found = minimize(error, rng.uniform(0, 0.5, bands - 1), method="BFGS")
        best = np.array([1.0, *found.x]) / math.hypot(1, np.linalg.norm(found.x))
        assert found.fun == pytest.approx(prefix_error(rounds, bands), rel=1e-7)
        assert best == pytest.approx(coefficients(bands, rounds), abs=1e-4)


@pytest.mark.parametrize(
    ("rounds", "factor"),
    [
        (8, [0.85431191, 0.43122139, 0.29017110]),
        (20, [0.78028417, 0.44527702, 0.34217889, 0.27531544]),
        (200, [0.64801374, 0.49249857, 0.43589095, 0.38408649]),
    ],
)
def test_the_optimum_is_jax_privacys(rounds, factor):
    # jax-privacy 2.0.0 in float64: toeplitz.optimize_banded_toeplitz(rounds, bands), rounded to eight places.
    assert coefficients(len(factor), rounds) == pytest.approx(factor, abs=2e-8)


@pytest.mark.parametrize(
    ("rounds", "bands", "error"), [(20, 20, 1.81832383015), (50, 10, 2.35353877378), (200, 20, 3.15643667261)]
)
def test_so_is_its_error(rounds, bands, error):
    # The root of its toeplitz.loss, which is the mean squared error times the squared column norm.
    assert prefix_error(rounds, bands) == pytest.approx(error, rel=1e-10)


@pytest.mark.parametrize(("rounds", "bands"), [(6, 2), (7, 7), (20, 4), (200, 20)])
def test_the_optimum_beats_the_square_root_and_that_beats_independent_noise(rounds, bands):
    # All three have columns of norm 1: equal sensitivity.
    root = math.sqrt(np.mean(prefix_errors(square_root(bands), rounds) ** 2))
    assert prefix_error(rounds, bands) < root < prefix_error(rounds, 1)


def test_more_bands_cancel_more_noise_and_never_more_than_any_matrix_could():
    # ||B||_F ||C||_F >= ||BC||_* = ||A||_* (the sum of singular values), and ||C||_F <= sqrt(n): error >= ||A||_* / n.
    errors = [prefix_error(20, bands) for bands in range(1, 21)]
    least = np.linalg.svd(np.tri(20), compute_uv=False).sum() / 20
    assert errors == sorted(errors, reverse=True)
    assert least < errors[-1] < 1.1 * least


# What it costs.


@pytest.mark.parametrize(("rounds", "bands"), [(6, 1), (6, 2), (6, 3), (8, 4), (5, 5), (7, 3), (5, 2)])
def test_a_units_whole_influence_is_the_root_of_how_often_it_takes_part(rounds, bands):
    # By brute force: every set of rounds at least `bands` apart, every sign of what the unit sends in each.
    c = matrix(coefficients(bands, rounds), rounds)
    largest = max(
        np.linalg.norm(c[:, list(chosen)] @ signs)
        for chosen in patterns(rounds, bands)
        for signs in product([1.0, -1.0], repeat=len(chosen))
    )
    most = math.sqrt(-(-rounds // bands))
    assert largest <= most + 1e-12
    if rounds % bands == 0:  # otherwise the last of its rounds is one whose column is cut off
        assert largest == pytest.approx(most)


def test_rounds_closer_than_the_bands_would_cost_more_than_is_charged():
    # Two rounds in a row with c = (0.8, 0.6): (0.8, 1.4, 0.6) has norm sqrt(2.96), above sqrt(2).
    both = matrix([0.8, 0.6], 3)[:, [0, 1]].sum(axis=1)
    assert np.linalg.norm(both) == pytest.approx(math.sqrt(2.96))


def test_the_noise_is_that_of_as_many_sampled_releases_as_a_unit_has_rounds():
    # 20 rounds in turns of 3: a unit has at most 7, each by a coin of 3 * 0.1.
    noise = noise_multiplier(20, 3, 0.1, 4.0, DELTA)
    assert noise == calibrate(4.0, DELTA, 3 * 0.1, 7)
    assert 3.99 < epsilon([Release(noise, 0.3, 7)], DELTA).pld <= 4
    assert expected_error(20, 3, 0.1, 4.0, DELTA) == noise * prefix_error(20, 3)


def test_one_certain_round_a_unit_is_one_gaussian_release():
    # Balle and Wang 2018, equation 6: the exact delta of noise z at epsilon 2.
    z = noise_multiplier(20, 20, 0.05, 2.0, DELTA)
    exact = norm.cdf(0.5 / z - 2 * z) - math.exp(2) * norm.cdf(-0.5 / z - 2 * z)
    assert DELTA * 0.99 < exact <= DELTA


@pytest.mark.parametrize(
    ("rounds", "bands", "rate"), [(20, 3, 0.5), (20, 3, 0.3334), (4, 5, 0.1), (4, 0, 0.1), (4, 1, 0.0)]
)
def test_groups_too_small_for_the_cohort_and_more_turns_than_rounds_are_refused(rounds, bands, rate):
    with pytest.raises(PrivacyError, match=r"choose (fewer bands|a number in that range)"):
        expected_error(rounds, bands, rate, 1.0, DELTA)


@pytest.mark.parametrize("rate", [0.0, 1.1, -1.0])
def test_a_rate_that_is_none_has_no_best_bands(rate):
    with pytest.raises(PrivacyError, match=r"need a rate in \(0, 1/1\]"):
        best_bands(20, rate, 1.0, DELTA)


# Where it pays.


@pytest.mark.parametrize("target", [0.5, 8.0])
@pytest.mark.parametrize(("rounds", "bands"), [(20, 4), (50, 10)])
def test_without_amplification_correlated_noise_wins_at_every_epsilon(rounds, bands, target):
    # Who is in every `bands`-th round for sure pays for as many Gaussians, correlated or not.
    alone = calibrate(target, DELTA, 1.0, -(-rounds // bands)) * prefix_error(rounds, 1)
    assert expected_error(rounds, bands, 1 / bands, target, DELTA) < 2 / 3 * alone


def test_at_a_high_epsilon_correlated_noise_wins_against_full_amplification():
    assert best_bands(20, 0.1, 16.0, DELTA) == 10
    assert expected_error(20, 10, 0.1, 16.0, DELTA) < 0.6 * expected_error(20, 1, 0.1, 16.0, DELTA)


def test_at_a_small_epsilon_amplification_is_worth_more():
    assert best_bands(20, 0.1, 0.5, DELTA) == 1
    assert expected_error(20, 10, 0.1, 0.5, DELTA) > 1.3 * expected_error(20, 1, 0.1, 0.5, DELTA)


def test_bands_are_as_few_as_rate_rounds_and_the_caller_allow():
    assert best_bands(20, 0.25, 16.0, DELTA) == 4
    assert best_bands(20, 0.25, 16.0, DELTA, most=2) == 2
    assert best_bands(3, 0.25, 16.0, DELTA) == 3
    assert best_bands(20, 1.0, 16.0, DELTA) == 1


def test_a_coin_that_is_certain_but_for_rounding_is_certain():
    assert 49 * (1 / 49) < 1 < 3 * 0.33333333334
    assert rate_in_group(1 / 49, 49) == 1.0 == rate_in_group(0.33333333334, 3)
    assert rate_in_group(0.1, 3) == 3 * 0.1
    assert noise_multiplier(49, 49, 1 / 49, 16.0, DELTA) == calibrate(16.0, DELTA, 1.0, 1)
    assert best_bands(3, 0.33333333334, 16.0, DELTA) == 3


def test_the_benchmark_prints_what_it_compares(monkeypatch, capsys):
    monkeypatch.setattr(correlated, "ROUNDS", (20,))
    monkeypatch.setattr(correlated, "RATES", (0.25,))
    monkeypatch.setattr(correlated, "EPSILONS", (1.0, 16.0))
    correlated.main(json=True, quiet=True)
    small, large = json.loads(capsys.readouterr().out)["rows"]
    assert (small["banded"], small["ratio"], small["final_ratio"]) == (small["independent"], 1.0, 1.0)
    assert large["banded"]["bands"] == 4
    assert large["banded"]["error"] == pytest.approx(expected_error(20, 4, 0.25, 16.0, DELTA))
    assert large["ratio"] == pytest.approx(large["banded"]["error"] / large["independent"]["error"])
    assert large["final_ratio"] < large["ratio"] < 0.75
    correlated.main(quiet=True)
    assert "banded" in capsys.readouterr().out
