"""The price of a release against closed forms, other accountants and its own laws."""

import logging
import math
import time

import numpy as np
import pytest
from opacus.accountants import PRVAccountant
from opacus.accountants.analysis import rdp as opacus_rdp
from scipy.optimize import brentq
from scipy.stats import norm

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon, merge
from fedrec.privacy.statement.groups import group_epsilon

DELTA = 1e-5
SETTINGS = [Release(1.0, 0.1, 100), Release(1.0, 0.01, 1000), Release(10.0, 0.5, 30), Release(4.0, 0.25, 60)]


def solve(delta_of, delta=DELTA):
    return brentq(lambda value: delta_of(value) - delta, 0.0, 500.0, xtol=1e-12)


def analytic_gaussian(noise, delta=DELTA):
    """Balle and Wang 2018, equation 6, with mu = 1 / noise: the exact epsilon of one Gaussian release."""
    mu = 1 / noise
    return solve(
        lambda value: norm.cdf(mu / 2 - value / mu) - math.exp(value + norm.logcdf(-mu / 2 - value / mu)), delta
    )


def exact_sampled_gaussian(noise, rate, delta=DELTA):
    """Exact epsilon of one Poisson-sampled release; removing a unit is the worse direction at these settings.

    With P = (1 - q) N(0, z^2) + q N(1, z^2) and Q = N(0, z^2), the loss exceeds epsilon above a threshold t, so
    delta = P(x > t) - e^epsilon Q(x > t).
    """

    def delta_of(value):
        threshold = noise**2 * math.log((math.exp(value) - 1 + rate) / rate) + 0.5
        outside = norm.sf(threshold / noise)
        inside = norm.sf((threshold - 1) / noise)
        return (1 - rate) * outside + rate * inside - math.exp(value) * outside

    return solve(delta_of, delta)


def test_one_gaussian_with_noise_1_costs_4_377():
    assert analytic_gaussian(1.0) == pytest.approx(4.3772, abs=1e-4)
    assert epsilon([Release(1.0)], DELTA).pld == pytest.approx(4.3772, abs=1e-4)


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0, 3.0, 20.0, 300.0])
def test_unsampled_claims_are_the_analytic_gaussian_and_never_below(noise):
    # count releases of noise z are one of noise z / sqrt(count): 9 releases of 3 z are one of z.
    exact = analytic_gaussian(noise)
    for releases in (
        [Release(noise)],
        [Release(3 * noise, count=9)],
        [Release(2**0.5 * noise), Release(2 * noise, count=2)],
    ):
        claimed = epsilon(releases, DELTA).pld
        assert exact * (1 - 1e-9) <= claimed <= exact * (1 + 5e-4)


@pytest.mark.parametrize(("noise", "rate"), [(0.6, 0.01), (1.0, 0.1), (2.0, 0.5), (5.0, 0.9), (0.5, 0.001)])
def test_sampled_claims_are_the_closed_form_and_never_below(noise, rate):
    exact = exact_sampled_gaussian(noise, rate)
    claimed = epsilon([Release(noise, rate)], DELTA).pld
    assert exact * (1 - 1e-9) <= claimed <= exact * (1 + 1e-3)


@pytest.mark.parametrize("release", SETTINGS)
def test_opacus_agrees_within_one_percent(release):
    price = epsilon([release], DELTA)
    prv = PRVAccountant()
    prv.history = [(release.noise_multiplier, release.sampling_rate, release.count)]
    assert price.pld == pytest.approx(prv.get_epsilon(DELTA), rel=0.01)
    orders = [1 + tenth / 10 for tenth in range(1, 100)] + list(range(11, 65)) + [128, 256]
    divergences = opacus_rdp.compute_rdp(
        q=release.sampling_rate, noise_multiplier=release.noise_multiplier, steps=release.count, orders=orders
    )
    theirs, _ = opacus_rdp.get_privacy_spent(orders=orders, rdp=divergences, delta=DELTA)
    assert price.rdp == pytest.approx(theirs, rel=0.01)
    assert price.pld <= price.rdp


def test_different_releases_compose_in_any_order_and_cost_more_than_each():
    releases = [Release(1.0, 0.1, 50), Release(2.0, 0.2, 20), Release(20.0)]
    together = epsilon(releases, DELTA)
    assert together == epsilon(reversed(releases), DELTA)
    assert together.pld > max(epsilon([release], DELTA).pld for release in releases)
    assert together.pld < sum(epsilon([release], DELTA).pld for release in releases)
    assert together.pld <= together.rdp


def test_a_split_count_is_the_same_composition():
    assert merge([Release(1.0, 0.1, 3), Release(1.0, 0.1, 4)]) == (Release(1.0, 0.1, 7),)


def test_sampling_never_costs_more_than_being_always_in():
    prices = [epsilon([Release(1.0, rate, 10)], DELTA).pld for rate in (0.01, 0.1, 0.5, 0.9, 1.0)]
    assert prices == sorted(prices)
    assert prices[-1] == pytest.approx(analytic_gaussian(1 / math.sqrt(10)), rel=1e-3)


def test_nothing_released_costs_nothing():
    for releases in ([], [Release(1.0, count=0)], [Release(0.0, count=0)], [Release(1.0, 0.0, 5)]):
        assert epsilon(releases, DELTA).pld == 0 == epsilon(releases, DELTA).rdp


def test_a_release_without_noise_costs_everything():
    for releases in ([Release(0.0)], [Release(1.0), Release(0.0, 0.1)]):
        assert epsilon(releases, DELTA).pld == math.inf == epsilon(releases, DELTA).rdp


def test_a_huge_loss_falls_back_to_the_rdp_bound():
    price = epsilon([Release(0.001, 1.0, 10)], DELTA)
    assert price.pld == price.rdp > 1e6


def test_one_more_release_never_lowers_the_claim():
    prices = [epsilon([Release(0.8, 0.05, count)], DELTA).pld for count in (*range(1, 12), 100, 101, 1000, 1001)]
    assert prices == sorted(prices)


@pytest.mark.parametrize(
    "values", [(-1.0, 0.5, 1), (math.nan, 0.5, 1), (math.inf, 1.0, 1), (1.0, 1.5, 1), (1.0, 1.0, -1)]
)
def test_impossible_releases_are_refused(values):
    with pytest.raises(PrivacyError, match="a release needs"):
        Release(*values)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5])
def test_delta_must_be_a_chance(delta):
    with pytest.raises(PrivacyError, match=r"privacy\.delta"):
        epsilon([Release(1.0)], delta)


@pytest.mark.parametrize(
    ("target", "rate", "count"), [(0.1, 0.1, 20), (1.0, 1.0, 1), (3.0, 0.01, 500), (8.0, 0.5, 30), (50.0, 1.0, 300)]
)
def test_calibrated_noise_meets_the_target_from_below(target, rate, count):
    spent = epsilon([Release(calibrate(target, DELTA, rate, count), rate, count)], DELTA).pld
    assert target * (1 - 1e-3) <= spent <= target


def test_no_target_needs_no_noise():
    assert calibrate(math.inf, DELTA, 1.0, 10) == 0


@pytest.mark.parametrize("arguments", [(1.0, DELTA, 1.0, 0), (0.0, DELTA, 1.0, 1), (1.0, 0.5, 1e-3, 1)])
def test_calibration_says_what_it_cannot_do(arguments):
    with pytest.raises(PrivacyError, match="epsilon"):
        calibrate(*arguments)


def test_the_library_is_silent_about_orders_it_skips(caplog):
    with caplog.at_level(logging.WARNING):
        epsilon([Release(1.25, 0.5, 3)], DELTA)
    assert not caplog.records


def test_a_round_more_is_priced_in_a_moment():
    epsilon([Release(1.0, 0.1, 10)], DELTA)
    start = time.process_time()
    for count in range(20, 220, 10):
        epsilon([Release(1.0, 0.1, count)], DELTA)
    assert (time.process_time() - start) / 20 < 0.2


def test_a_group_of_one_costs_the_claim():
    assert group_epsilon([Release(2.0, 0.2, 10)], 1, DELTA) == pytest.approx(
        epsilon([Release(2.0, 0.2, 10)], DELTA).pld, rel=1e-2
    )


def test_an_unsampled_group_of_k_is_a_release_with_noise_divided_by_k():
    assert group_epsilon([Release(6.0)], 3, DELTA) == pytest.approx(analytic_gaussian(2.0), rel=1e-3)


def test_a_group_costs_no_more_than_the_textbook_says():
    # (epsilon, delta) for one is (3 epsilon, 3 e^(2 epsilon) delta) for three: Dwork and Roth 2014, theorem 2.2.
    releases = [Release(20.0, 0.1, 30)]
    one = epsilon(releases, DELTA).pld
    assert one < group_epsilon(releases, 3, 3 * math.exp(2 * one) * DELTA) <= 3 * one


def test_a_sampled_group_costs_less_than_one_always_in():
    assert group_epsilon([Release(20.0, 0.1, 30)], 11, DELTA) < group_epsilon([Release(20.0, 1.0, 30)], 11, DELTA)


def test_groups_at_the_edges():
    assert group_epsilon([], 5, DELTA) == 0
    assert group_epsilon([Release(1.0)], 0, DELTA) == 0
    assert group_epsilon([Release(0.0)], 5, DELTA) == math.inf
    assert group_epsilon([Release(1.0, 1.0, 100)], 51, DELTA) == math.inf


# neighbours with other data


def hockey_stick(rate, noise, epsilon_, first, second):
    """delta of (1 - q) N(0) + q N(first) against (1 - q) N(0) + q N(second), on a fine line of outcomes."""
    x = np.linspace(-12 * noise - 2, 12 * noise + 2, 400_001)
    base = (1 - rate) * norm.pdf(x, 0, noise)
    here, there = (base + rate * norm.pdf(x, shift, noise) for shift in (first, second))
    return float(np.trapezoid(np.maximum(here - math.exp(epsilon_) * there, 0), x))


@pytest.mark.parametrize(("rate", "noise"), [(0.1, 1.0), (0.5, 2.0), (0.01, 0.6)])
def test_a_replaced_units_price_is_that_of_shifts_on_both_sides(rate, noise):
    found = epsilon([Release(noise, rate, adjacency="replace-one")], 1e-5)
    exact = brentq(lambda e: hockey_stick(rate, noise, e, 1, -1) - 1e-5, 0, 60)
    assert exact * (1 - 1e-4) <= found.pld <= exact * 1.01
    assert found.pld <= found.rdp
    # no other pair of contributions is told apart better, whatever their lengths and signs
    for first, second in [(1, 0), (0, 1), (1, 1), (1, 0.5), (0.7, -1), (0.3, -0.9), (-1, 0.2)]:
        assert hockey_stick(rate, noise, exact, first, second) <= 1e-5 * (1 + 1e-6)


def test_a_replaced_unit_that_is_in_every_sum_costs_half_the_noise():
    assert merge([Release(3.0, 1.0, 4, adjacency="replace-one")]) == (Release(0.75),)
    assert epsilon([Release(3.0, 1.0, 4, adjacency="replace-one")], 1e-5) == epsilon([Release(1.5, 1.0, 4)], 1e-5)


def test_an_added_unit_costs_what_a_zeroed_one_does_and_a_replaced_one_more():
    zeroed, added, replaced = (
        epsilon([Release(1.0, 0.2, 30, adjacency=adjacency), Release(5.0, adjacency=adjacency)], 1e-5)
        for adjacency in ("zero-out", "add-remove", "replace-one")
    )
    assert zeroed == added
    # two steps through the zeroed neighbour: epsilon e at delta d twice is 2 e at (1 + exp(e)) d
    small = 1e-9
    half = epsilon([Release(1.0, 0.2, 30), Release(5.0)], small).pld
    assert zeroed.pld < replaced.pld
    both = [Release(1.0, 0.2, 30, adjacency="replace-one"), Release(5.0, adjacency="replace-one")]
    assert epsilon(both, (1 + math.exp(half)) * small).pld < 2 * half
    assert replaced.pld < replaced.rdp


def test_noise_for_replaced_units_meets_the_target():
    noise = calibrate(4.0, 1e-5, 0.1, 50, adjacency="replace-one")
    assert 4 * (1 - 1e-3) <= epsilon([Release(noise, 0.1, 50, adjacency="replace-one")], 1e-5).pld <= 4
    assert noise > calibrate(4.0, 1e-5, 0.1, 50)
