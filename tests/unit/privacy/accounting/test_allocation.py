"""The price of balls in bins against hand arithmetic, quadrature, simulation and other draws: never below the truth."""

import math
import warnings
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from fedrec.core.errors import PrivacyError
from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting import allocation
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from fedrec.privacy.statement.groups import group_epsilon

DELTA = 1e-4


def binned(noise, bins, epochs=1):
    return Release(noise, 1 / bins, epochs, draw="balls-in-bins")


def exact(noise, bins, loss):
    """Both hockey-stick divergences at a loss by quadrature: P / Q is the mean of exp((x_i - 1/2) / z^2) under Q."""
    x = np.linspace(-8 * noise, 8 * noise + 1, 1501 if bins == 2 else 181)
    chances = norm.pdf(x, scale=noise) * (x[1] - x[0])
    ratio, chance = np.zeros(1), np.ones(1)
    for _ in range(bins):
        ratio = np.add.outer(ratio, np.exp((x - 0.5) / noise**2) / bins)
        chance = np.multiply.outer(chance, chances)
    return (
        float(np.sum(chance * np.maximum(ratio - math.exp(loss), 0))),
        float(np.sum(chance * np.maximum(1 - math.exp(loss) * ratio, 0))),
    )


@pytest.mark.parametrize(("bins", "noise", "loss"), [*product([2], [0.6, 1.0, 3.0], [0.0, 0.3, 1.0]), (3, 1.0, 0.5)])
def test_two_and_three_bins_cost_what_quadrature_says_and_never_less(bins, noise, loss):
    price = allocation.pld(noise, 1 / bins, 1e-3)
    claimed = (price._pmf_remove.get_delta_for_epsilon(loss), price._pmf_add.get_delta_for_epsilon(loss))
    for claim, true in zip(claimed, exact(noise, bins, loss), strict=True):
        assert true * (1 - 1e-4) <= claim <= true * 1.01


def test_ten_bins_over_three_epochs_cost_at_least_what_a_simulation_finds():
    noise, bins, epochs, runs = 1.0, 10, 3, 200_000
    claim = epsilon([binned(noise, bins, epochs)], 1e-2).pld
    seen = rng_for(0, "allocation").normal(scale=noise, size=(runs, epochs, bins))
    seen[:, :, 0] += 1  # by symmetry the unit is in the first bin
    losses = np.log(np.mean(np.exp((seen - 0.5) / noise**2), axis=2)).sum(axis=1)
    # delta at the claimed epsilon, by four standard errors at most 1e-2 and no further below it than 3 %
    short = np.maximum(1 - np.exp(claim - losses), 0)
    error = 4 * short.std() / math.sqrt(runs)
    assert 0.97e-2 - error <= short.mean() <= 1e-2 + error


@pytest.mark.parametrize("turned", [1.0, 0.5, -1.0])
def test_what_a_client_remembers_of_its_earlier_rounds_costs_nothing(turned):
    # Two epochs of two bins; in the second one contributes 1 if it was in the first's first bin, and `turned` if not.
    noise, runs = 1.0, 400_000
    seen = rng_for(1, "allocation").normal(scale=noise, size=(runs, 2, 2))
    ratio = np.zeros(runs)
    for first, second in product(range(2), range(2)):
        given = 1.0 if first == 0 else turned
        exponent = seen[:, 0, first] - 0.5 + given * seen[:, 1, second] - given**2 / 2
        ratio += np.exp(exponent / noise**2) / 4
    price = allocation.pld(noise, 0.5, 1e-3).self_compose(2)
    for loss in (0.2, 1.0, 2.0):
        for claim, gain in (
            (price._pmf_remove.get_delta_for_epsilon(loss), np.maximum(ratio - math.exp(loss), 0)),
            (price._pmf_add.get_delta_for_epsilon(loss), np.maximum(1 - math.exp(loss) * ratio, 0)),
        ):
            error = 4 * gain.std() / math.sqrt(runs)
            assert gain.mean() - error <= claim
            assert turned < 1 or claim <= gain.mean() + error + 1e-3 * claim


@pytest.mark.parametrize("noise", [0.3, 1.0, 5.0])
def test_one_bin_is_the_gaussian_mechanism(noise):
    claim = allocation.pld(noise, 1.0, 1e-3).get_epsilon_for_delta(DELTA)
    assert claim == pytest.approx(epsilon([Release(noise)], DELTA).pld, rel=5e-4)
    assert epsilon([binned(noise, 1, 4)], DELTA) == epsilon([Release(noise, 1.0, 4)], DELTA)


@pytest.mark.parametrize(("noise", "bins", "epochs"), [(1.0, 4, 8), (0.6, 10, 3), (3.0, 20, 2), (0.8, 2, 1)])
def test_it_costs_less_than_taking_part_for_certain_in_one_known_round_of_an_epoch(noise, bins, epochs):
    claim = epsilon([binned(noise, bins, epochs)], DELTA)
    assert claim.pld < epsilon([Release(noise, 1.0, epochs)], DELTA).pld
    assert claim.pld < epsilon([binned(noise, bins, epochs + 1)], DELTA).pld
    assert claim.pld < epsilon([binned(noise, bins - 1, epochs)], DELTA).pld
    assert claim.pld <= claim.rdp
    # At these settings exactly once is better than by coins (Chua et al. 2024, figure 1), though by less than a third.
    poisson = epsilon([Release(noise, 1 / bins, bins * epochs)], DELTA).pld
    assert 0.67 * poisson < claim.pld < poisson


def test_nothing_is_lost_and_the_mean_stays_where_it_was():
    # With one unit's data as without, chances sum to 1; what is missing counts as revealed.
    price = allocation.pld(0.7, 1 / 12, 1e-3)
    for side in (price._pmf_remove, price._pmf_add):
        assert side.to_dense_pmf()._probs.sum() + side._infinity_mass == pytest.approx(1, abs=1e-12)
        assert side._infinity_mass < 1e-12


def test_moments_are_sums_over_all_ways_to_fall_into_bins():
    noise, bins = 1.3, 3
    for order in (2, 3, 4):
        ways = [np.bincount(way, minlength=bins) for way in product(range(bins), repeat=order)]
        moment = np.mean([math.exp(np.sum(way * (way - 1)) / (2 * noise**2)) for way in ways])
        found = allocation.renyi(noise, 1 / bins, np.array([order - 0.5, float(order)]))
        absent = (order - 1 + bins) / (2 * bins * noise**2)
        assert found[1] == pytest.approx(max(math.log(moment) / (order - 1), absent))
        # order 2 by hand: both in one bin, chance 1/3, gives exp(1 / z^2)
        assert order > 2 or moment == pytest.approx((math.exp(noise**-2) + 2) / 3)
    assert allocation.renyi(noise, 1 / bins, np.array([2.0, 512.0]))[1] == math.inf


def test_renyi_bounds_both_directions():
    noise, order = 0.9, 3.0
    x = np.linspace(-9 * noise, 9 * noise + 1, 1001)
    chance = np.multiply.outer(*2 * [norm.pdf(x, scale=noise) * (x[1] - x[0])])
    ratio = np.add.outer(*2 * [np.exp((x - 0.5) / noise**2) / 2])
    bound = allocation.renyi(noise, 0.5, np.array([order]))[0]
    for moment in (np.sum(chance * ratio**order), np.sum(chance * ratio ** (1 - order))):
        assert math.log(moment) / (order - 1) <= bound * (1 + 1e-9)


def test_calibrated_noise_meets_its_target():
    noise = calibrate(8.0, DELTA, 0.1, 3, draw="balls-in-bins")
    assert 8 * (1 - 1e-3) <= epsilon([binned(noise, 10, 3)], DELTA).pld <= 8
    beside = (Release(9.0),)
    more = calibrate(8.0, DELTA, 0.1, 3, beside, draw="balls-in-bins")
    assert more > noise
    assert 8 * (1 - 1e-3) <= epsilon([binned(more, 10, 3), *beside], DELTA).pld <= 8


def test_hardly_any_noise_reveals_everything_and_overflows_nowhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert allocation.pld(0.02, 0.5, 1e-2).get_epsilon_for_delta(DELTA) == math.inf
        assert 400 < epsilon([binned(0.036, 4)], DELTA).pld < epsilon([Release(0.036)], DELTA).pld
        assert epsilon([binned(0.001, 4)], DELTA).pld > 1e5


def test_a_rate_that_is_not_one_over_a_whole_number_is_refused():
    with pytest.raises(PrivacyError, match="1 over a whole number"):
        Release(1.0, 0.3, draw="balls-in-bins")
    with pytest.raises(PrivacyError, match="1 over a whole number"):
        Release(1.0, 0.0, draw="balls-in-bins")


@pytest.mark.parametrize("draw", ["balls-in-bins", "without-replacement"])
@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
def test_neighbours_that_change_the_draw_or_two_contributions_have_no_known_price(draw, adjacency):
    with pytest.raises(PrivacyError, match="only a unit that stays in the draw"):
        Release(1.0, 0.25, draw=draw, adjacency=adjacency)


@pytest.mark.parametrize("draw", ["balls-in-bins", "without-replacement"])
def test_no_group_price_is_claimed_where_none_is_known(draw):
    assert group_epsilon([Release(5.0, 0.1, 3, draw=draw)], 3, DELTA) == math.inf
