"""The price of sampling without replacement against all subsets of small populations, and other accountants."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting import replacement
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon

DELTA = 1e-4
LOSSES = np.array([0.0, 0.2, 0.7, 1.5, 3.0])


def drawn(noise, rate, rounds=1):
    return Release(noise, rate, rounds, draw="without-replacement")


def divergences(contributions, size, noise):
    """Both hockey-stick divergences at `LOSSES` of a sum over all subsets, the first unit's data against nothing.

    Contributions `[n, d]`, d = 1 or 2, by quadrature on a grid.
    """
    contributions = np.atleast_2d(np.asarray(contributions, dtype=float))
    axis = np.linspace(-size - 8 * noise, size + 8 * noise, 4001 if contributions.shape[1] == 1 else 401)
    grid = np.stack(np.meshgrid(*[axis] * contributions.shape[1], indexing="ij"), axis=-1)
    cell = (axis[1] - axis[0]) ** contributions.shape[1]

    def density(data):
        sums = [data[list(subset)].sum(axis=0) for subset in combinations(range(len(data)), size)]
        return np.mean([norm.pdf(grid, loc=mean, scale=noise).prod(axis=-1) for mean in sums], axis=0)

    present, absent = density(contributions), density(np.concatenate([0 * contributions[:1], contributions[1:]]))
    return [
        np.array([np.sum(np.maximum(over - math.exp(loss) * under, 0)) * cell for loss in LOSSES])
        for over, under in ((present, absent), (absent, present))
    ]


@pytest.mark.parametrize(("units", "size", "noise"), [(4, 1, 1.0), (4, 2, 0.7), (5, 4, 1.5), (3, 2, 0.4)])
def test_others_that_all_contribute_the_opposite_or_the_same_cost_exactly_the_price(units, size, noise):
    present, absent = (
        bound(LOSSES, noise, size / units) for bound in (replacement.with_data, replacement.without_data)
    )
    column = np.ones((units, 1))
    opposite = np.where(np.arange(units)[:, None] == 0, 1.0, -1.0)
    np.testing.assert_allclose(divergences(opposite, size, noise)[0], present, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(divergences(column, size, noise)[1], absent, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(("trial", "dimensions"), [*product(range(6), [1]), *product(range(6), [2])])
def test_no_population_costs_more_than_the_price(trial, dimensions):
    rng = rng_for(0, "population", trial, dimensions)
    units, noise = 4, float(rng.uniform(0.4, 2))
    size = int(rng.integers(1, units))
    contributions = rng.normal(size=(units, dimensions))
    shrink = np.maximum(np.linalg.norm(contributions, axis=1, keepdims=True), 1 if trial % 2 else 1e-9)
    found = divergences(contributions / shrink, size, noise)
    bounds = (bound(LOSSES, noise, size / units) for bound in (replacement.with_data, replacement.without_data))
    for true, claim in zip(found, bounds, strict=True):
        assert np.all(true <= claim * (1 + 1e-3) + 1e-9)


def test_poissons_price_would_be_too_low():
    # Lebeda et al. 2024: others who contribute the opposite shift the sum by 2, not by 1.
    truth = divergences(np.array([[1.0], [-1.0], [-1.0], [-1.0]]), 2, 1.0)[0][3]
    poisson = replacement.without_data(LOSSES, 1.0, 0.5)[3]
    assert truth > 1.5 * poisson
    assert epsilon([drawn(1.0, 0.5, 10)], DELTA).pld > epsilon([Release(1.0, 0.5, 10)], DELTA).pld


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.1), (0.5, 0.5), (3.0, 0.05), (2.0, 0.9)])
def test_one_round_claims_what_the_divergence_says_and_never_less(noise, rate):
    exact = brentq(lambda loss: replacement.with_data(np.array([loss]), noise, rate)[0] - DELTA, 0, 50, xtol=1e-12)
    assert exact * (1 - 1e-6) <= epsilon([drawn(noise, rate)], DELTA).pld <= exact * 1.001


def test_two_rounds_compose_to_at_least_what_the_worst_pair_does():
    # A little more, because below loss 0 the price is that of another population, which cannot be there as well.
    noise, rate, loss = 1.0, 0.3, 1.0
    x = np.linspace(-8, 10, 2001)
    zero, one, two = (norm.pdf(x, mean, noise) * (x[1] - x[0]) for mean in (0, 1, 2))
    present, absent = (1 - rate) * zero + rate * two, (1 - rate) * zero + rate * one
    both = np.multiply.outer(present, present) - math.exp(loss) * np.multiply.outer(absent, absent)
    true = float(np.maximum(both, 0).sum())
    claim = replacement.pld(noise, rate, 1e-3).self_compose(2).get_delta_for_epsilon(loss)
    assert true * (1 - 1e-6) <= claim <= true * 1.06


@pytest.mark.parametrize(
    ("noise", "rate", "rounds"), [(1.0, 0.1, 30), (4.0, 0.25, 30), (0.6, 0.5, 5), (8.0, 0.05, 300)]
)
def test_it_amplifies_and_the_other_accountant_is_looser(noise, rate, rounds):
    claim = epsilon([drawn(noise, rate, rounds)], DELTA)
    assert epsilon([Release(noise, rate, rounds)], DELTA).pld < claim.pld <= claim.rdp
    assert claim.pld < epsilon([Release(noise, 1.0, rounds)], DELTA).pld
    assert claim.pld < epsilon([drawn(noise, rate, rounds + 1)], DELTA).pld


def test_showing_who_takes_part_costs_more():
    # Then it is the Gaussian mechanism with chance q: H <= q H_Gaussian.
    for noise, rate in ((0.5, 0.9), (1.0, 0.5), (2.0, 0.1)):
        cut = 0.5 + noise**2 * LOSSES
        gaussian = norm.sf((cut - 1) / noise) - np.exp(LOSSES) * norm.sf(cut / noise)
        assert np.all(replacement.with_data(LOSSES, noise, rate) <= rate * gaussian + 1e-12)


@pytest.mark.parametrize("noise", [0.1, 0.5, 4.0])
def test_everybody_in_every_round_is_the_gaussian_mechanism(noise):
    claim = replacement.pld(noise, 1.0, 1e-3).get_epsilon_for_delta(DELTA)
    assert claim == pytest.approx(epsilon([Release(noise)], DELTA).pld, rel=1e-3)
    orders = np.array([1.5, 2.0, 32.0])
    np.testing.assert_allclose(replacement.renyi(noise, 1.0, orders), orders / (2 * noise**2))


def test_calibrated_noise_meets_its_target():
    noise = calibrate(8.0, DELTA, 56 / 561, 30, draw="without-replacement")
    assert 8 * (1 - 1e-3) <= epsilon([drawn(noise, 56 / 561, 30)], DELTA).pld <= 8
