"""The trade-off curve against closed forms, against the price, and against what a guess can really do."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedrec.privacy.accounting.curve import RATES, bounding_mu, curve, gaussian_delta, mu_for, tradeoff
from fedrec.privacy.accounting.prices import Release, composed, epsilon, merge
from fedrec.reporting.run.figures import tradeoff_chart

DELTA = 1e-5
SAMPLED = [Release(1.0, 0.1, 30)]


def gaussian_tradeoff(alpha, mu):
    """Dong, Roth and Su 2022."""
    return norm.cdf(norm.ppf(1 - alpha) - mu)


@pytest.mark.parametrize(("noise", "count"), [(1.0, 1), (4.0, 9), (3.0, 100)])
def test_unsampled_gaussians_are_one_gaussian(noise, count):
    found = curve([Release(noise, 1.0, count)], DELTA)
    mu = math.sqrt(count) / noise
    assert found.mu == found.mu_everywhere == pytest.approx(mu, rel=1e-12)
    for alpha, beta in found.tradeoff:
        exact = gaussian_tradeoff(alpha, mu)
        # a few points of a convex curve lie on or below it; and never promise more than it
        assert exact - 2e-3 <= beta <= exact + 1e-12, alpha
    for delta, value in found.epsilons:
        assert gaussian_delta(value, mu) <= delta * (1 + 1e-6)
        assert gaussian_delta(value * 0.998, mu) >= delta * (1 - 1e-6)


def test_balle_and_wangs_delta():
    # mu = 1 at epsilon 1: Phi(-1/2) - e Phi(-3/2) = 0.308538 - 2.718282 * 0.066807 = 0.126937
    assert gaussian_delta(1.0, 1.0) == pytest.approx(0.126937, abs=1e-6)
    assert mu_for(1.0, gaussian_delta(1.0, 1.7)) == pytest.approx(1.7, rel=1e-9)
    assert (mu_for(1.0, 0.0), mu_for(1.0, 1.0)) == (0.0, math.inf)


def test_two_gaussians_of_different_noise_add_their_squares():
    # 1/3^2 * 9 + 1/2^2 = 1.25
    assert curve([Release(3.0, 1.0, 9), Release(2.0)], DELTA).mu == pytest.approx(math.sqrt(1.25))


def test_replaced_units_double_mu():
    assert curve([Release(3.0, adjacency="replace-one")], DELTA).mu == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "releases", [SAMPLED, [Release(0.8, 0.01, 500), Release(4.0)], [Release(1.0, 0.1, 30, adjacency="replace-one")]]
)
def test_the_gaussian_of_mu_bounds_a_sampled_run_but_for_delta(releases):
    found = curve(releases, DELTA)
    losses, spent = composed(merge(releases)), epsilon(releases, DELTA).pld
    assert 0 < found.mu < found.mu_everywhere
    for value in np.linspace(0.0, spent, 137):
        assert losses.get_delta_for_epsilon(value) <= gaussian_delta(value, found.mu) * (1 + 1e-6)
    for alpha, beta in found.tradeoff:
        assert beta >= gaussian_tradeoff(alpha, found.mu) - DELTA - 2e-3
    # and no much smaller one does
    smaller = 0.97 * found.mu
    grid = np.linspace(1e-3, spent, 400)
    assert any(losses.get_delta_for_epsilon(value) > gaussian_delta(value, smaller) for value in grid)


def test_no_threshold_on_a_sampled_release_beats_the_curve():
    # One release with noise 1 and rate 1/2: present 1/2 N(0) + 1/2 N(1), absent N(0); guess "used" beyond a threshold.
    found = dict(curve([Release(1.0, 0.5)], DELTA).tradeoff)
    for alpha in RATES[1:-1]:
        missed = 0.5 * (1 - alpha) + 0.5 * norm.cdf(norm.ppf(1 - alpha) - 1)
        assert found[alpha] <= missed + 1e-12
        assert found[alpha] >= missed - 0.05  # the other direction, absent guessed, is easier for some rates


def test_the_curve_is_convex_falls_and_stays_below_a_coin():
    points = np.array(curve(SAMPLED, DELTA).tradeoff)
    slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])
    assert (slopes <= 0).all()
    assert (np.diff(slopes) >= -1e-9).all()
    assert (points[:, 1] <= 1 - points[:, 0] + 1e-12).all()


def test_epsilon_is_told_for_the_runs_delta_and_the_powers_of_ten_below():
    told = curve(SAMPLED, 3e-6).epsilons
    assert [delta for delta, _ in told] == [3e-6, 1e-6, 1e-7, 1e-8]
    assert [value for _, value in told] == [epsilon(SAMPLED, delta).pld for delta, _ in told]


def test_a_shufflers_claim_is_on_the_curve():
    mixed, bare = ([Release(6.0, 1.0, 10, mixed=mixed)] for mixed in (561, 0))
    found, without = curve(mixed, DELTA), curve(bare, DELTA)
    claims = [epsilon(mixed, delta).pld for delta, _ in found.epsilons]
    assert [value for _, value in found.epsilons] == claims
    assert claims[0] <= without.epsilons[0][1]
    for (alpha, beta), (_, least) in zip(found.tradeoff, without.tradeoff, strict=True):
        assert beta >= least - 1e-4  # other epsilons between the same ends
        assert beta >= 1 - DELTA - math.exp(claims[0]) * alpha - 1e-12


def test_nothing_released_is_a_coin_and_no_noise_no_promise():
    nothing = curve([], DELTA)
    assert (nothing.mu, nothing.tradeoff[3]) == (0.0, (0.01, 0.99))
    bare = curve([Release(0.0)], DELTA)
    assert (bare.mu, bare.tradeoff) == (math.inf, ())


def test_hopeless_noise_has_no_curve_but_a_mu():
    found = curve([Release(0.01, 1.0)], DELTA)
    assert (found.mu, found.tradeoff) == (pytest.approx(100.0), ())


def test_pairs_of_epsilon_and_delta_by_hand():
    # epsilon ln 2, delta 0.1: at alpha 0.2 the larger of 0.9 - 2 * 0.2 = 0.5 and (0.9 - 0.2) / 2 = 0.35
    found = tradeoff(np.array([0.2, 1.0]), np.array([math.log(2)]), np.array([0.1]))
    assert found.tolist() == pytest.approx([0.5, 0.0])
    assert tradeoff(np.array([0.2]), np.array([]), np.array([])).tolist() == [0.0]


def test_a_staircase_of_deltas_is_bounded_by_its_corners():
    # between epsilon 0 and 1 delta may be 0.2 up to epsilon 1
    assert bounding_mu(np.array([0.0, 1.0]), np.array([0.2, 0.1])) == mu_for(1.0, 0.2)


def test_the_chart_has_the_curve_and_the_coin():
    found = curve(SAMPLED, DELTA)
    chart = tradeoff_chart({"curve": found.to_json()})
    assert [trace["name"] for trace in chart.spec["data"]] == ["this run, at least", "a coin"]
    assert chart.spec["data"][0]["y"] == [beta for _, beta in found.tradeoff]
    assert tradeoff_chart({"curve": {**found.to_json(), "tradeoff": []}}) is None
    assert tradeoff_chart({}) is None
