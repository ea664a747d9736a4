"""Numbers to integers and back by hand, and noise shared among clients."""

import math

import numpy as np
import pytest
from scipy import stats

from fedrec.core.errors import ConfigError
from fedrec.privacy.secagg.errors import SecureAggregationError
from fedrec.privacy.secagg.integers.noise import noise_share, total_deviation
from fedrec.privacy.secagg.integers.quantisation import Grid, finest
from fedrec.privacy.secagg.protocol.simulation import masked_sum
from fedrec.privacy.secagg.terms import Terms

RNG = np.random.default_rng(0)
COARSE = Grid(bits=8, cohort=3, step=0.25, clip_norm=8.0)


def test_rounding_to_the_nearest_by_hand():
    # 0.6 / 0.25 = 2.4 -> 2; -0.4 / 0.25 = -1.6 -> -2; 0
    assert COARSE.integers(np.array([0.6, -0.4, 0.0]), RNG).tolist() == [2, -2, 0]


def test_negative_integers_are_in_the_upper_half():
    # -2 = 254 modulo 2^8
    assert COARSE.encode(np.array([2, -2, 0]), np.dtype("u1")).tolist() == [2, 254, 0]
    assert COARSE.decode(np.array([2, 254, 0, 128], "u1")).tolist() == [0.5, -0.5, 0.0, -32.0]


def test_bits_that_fill_no_byte():
    grid = Grid(bits=11, cohort=2, step=1.0, clip_norm=500.0)
    assert grid.encode(np.array([-1]), np.dtype("<u2")).tolist() == [2047]
    assert grid.decode(np.array([2047, 1023, 1024], "<u2")).tolist() == [-1.0, 1023.0, -1024.0]


def test_a_long_vector_is_clipped_so_that_rounding_keeps_it_within_the_norm():
    # norm 50 > 8 - sqrt(2) / 8
    integers = COARSE.integers(np.array([30.0, 40.0]), RNG)
    assert np.linalg.norm(integers) * 0.25 <= 8.0
    np.testing.assert_allclose(COARSE.clipped(np.array([30.0, 40.0])), (8 - math.sqrt(2) / 8) * np.array([0.6, 0.8]))


def test_stochastic_rounding_has_the_right_mean():
    grid = Grid(bits=16, cohort=1, step=1.0, clip_norm=2000.0, rounding="stochastic")
    drawn = grid.integers(np.full(10_000, 0.3), np.random.default_rng(1))
    assert set(drawn.tolist()) == {0, 1}
    assert drawn.mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 10_000))


def test_the_worst_error_is_half_a_step_for_each_client_and_it_is_reached():
    # Three clients, each 0.125 = half a step above or below a multiple (ties go to even: 0.125 -> 0, 0.375 -> 0.5)
    assert COARSE.worst_error == 3 * 0.25 / 2
    total = sum(COARSE.integers(np.array([0.375]), RNG) for _ in range(3))
    assert abs(total[0] * 0.25 - 3 * 0.375) == COARSE.worst_error
    assert Grid(8, 3, 0.25, 8.0, rounding="stochastic").worst_error == 3 * 0.25


def test_a_sum_that_could_wrap_is_refused_and_the_largest_that_cannot_is_right():
    # 3 clients of 8 / 0.25 + 1 = 33 steps: 99 < 2^7; with 4 clients 132
    with pytest.raises(ConfigError, match="could wrap"):
        Grid(bits=8, cohort=4, step=0.25, clip_norm=8.0)
    for sign in (1, -1):
        vector = COARSE.encode(COARSE.integers(np.array([sign * 7.75]), RNG), np.dtype("u1"))
        terms = Terms(round=0, cohort=3, threshold=2, length=1, bits=8)
        opened = masked_sum(terms, dict.fromkeys(range(3), vector)).vector
        assert COARSE.decode(opened).tolist() == [sign * 23.25]


@pytest.mark.parametrize("step", [0.3, 0.0, -0.25, math.inf, math.nan])
def test_a_step_that_is_no_power_of_two_is_refused(step):
    with pytest.raises(ConfigError):
        Grid(bits=32, cohort=3, step=step, clip_norm=1.0)


def test_a_step_too_coarse_for_so_many_numbers_is_refused():
    # sqrt(4096) / 2 * 0.25 = 8 leaves nothing of the norm
    with pytest.raises(ConfigError, match="too coarse for 4096 numbers"):
        COARSE.integers(np.zeros(4096), RNG)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_never_leave_the_client(bad):
    with pytest.raises(SecureAggregationError, match="not finite"):
        COARSE.integers(np.array([bad, 0.0]), RNG)


def test_an_empty_vector_stays_empty():
    assert COARSE.decode(COARSE.encode(COARSE.integers(np.zeros(0), RNG), np.dtype("u1"))).shape == (0,)


def test_the_finest_step_has_room_and_half_of_it_has_none():
    step = finest(32, 64, 0.5, deviation=0.1)
    Grid(32, 64, step, 0.5, 0.1)
    with pytest.raises(ConfigError, match="could wrap"):
        Grid(32, 64, step / 2, 0.5, 0.1)


@pytest.mark.parametrize(("bits", "cohort", "clip_norm"), [(8, 64, 1.0), (32, 64, 0.0), (32, 64, math.inf)])
def test_without_room_there_is_no_finest_step(bits, cohort, clip_norm):
    with pytest.raises(ConfigError, match="no step has room"):
        finest(bits, cohort, clip_norm)


# Noise


def test_shares_of_the_fewest_survivors_add_up_to_the_noise_needed_and_more_survivors_to_more():
    share = noise_share(2.0, 0.5, threshold=16)
    assert share == 2.0 * 0.5 / 4
    assert total_deviation(share, 16) == 2.0 * 0.5
    # 25 survivors: sqrt(25 / 16) = 1.25 times the noise needed
    assert total_deviation(share, 25) == 1.25


def test_the_noise_of_colluders_does_not_count():
    assert total_deviation(noise_share(2.0, 0.5, threshold=16, colluding=7), 9) == pytest.approx(1.0)
    for colluding in (16, 17, -1):
        with pytest.raises(ConfigError, match="left to add noise"):
            noise_share(2.0, 0.5, threshold=16, colluding=colluding)


def test_integer_noise_has_its_deviation_and_is_named_by_its_generator():
    grid = Grid(32, 4, 2.0**-12, 1.0, deviation=0.5)
    drawn = grid.noise(20_000, np.random.default_rng(3))
    assert drawn.std() * grid.step == pytest.approx(0.5, rel=0.03)
    np.testing.assert_array_equal(drawn, grid.noise(20_000, np.random.default_rng(3)))


def test_without_noise_none_is_added():
    assert not COARSE.noise(5, RNG).any()


def test_noise_of_less_than_four_steps_is_refused():
    with pytest.raises(ConfigError, match="would not pass for Gaussian"):
        Grid(32, 4, 0.25, 1.0, deviation=0.99)
    Grid(32, 4, 0.25, 1.0, deviation=1.0)


def deltas(deviation, clients, shift, epsilon):
    """Hockey-stick divergence of the sum of rounded Gaussians, exactly, and of the Gaussian; all in steps."""
    reach = math.ceil(40 * deviation) + 1
    edges = np.arange(-reach, reach + 2) - 0.5
    # The upper tail by symmetry: 1 - cdf would lose it.
    one = stats.norm.cdf(-np.minimum(np.abs(edges[:-1]), np.abs(edges[1:])) / deviation)
    one = one - stats.norm.cdf(-np.maximum(np.abs(edges[:-1]), np.abs(edges[1:])) / deviation)
    one[reach] = 1 - 2 * stats.norm.cdf(-0.5 / deviation)
    mass = one
    for _ in range(clients - 1):
        mass = np.convolve(mass, one)
    moved = np.concatenate([np.zeros(shift), mass])
    exact = np.maximum(np.concatenate([mass, np.zeros(shift)]) - math.exp(epsilon) * moved, 0).sum()
    total = deviation * math.sqrt(clients)
    middle, slope = shift / (2 * total), epsilon * total / shift
    gaussian = stats.norm.cdf(middle - slope) - math.exp(epsilon) * stats.norm.cdf(-middle - slope)
    return exact, gaussian


@pytest.mark.parametrize("shift", [1, 5, 14, 40])
@pytest.mark.parametrize("clients", [1, 3, 8])
def test_rounded_noise_is_as_private_as_the_gaussian_it_is_charged_as(shift, clients):
    for epsilon in (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0):
        exact, gaussian = deltas(4.0, clients, shift, epsilon)
        assert exact <= gaussian * (1 + 1e-6) + 1e-15


def test_with_noise_of_a_fraction_of_a_step_it_would_not_be():
    # 100 clients with a tenth of a step each: the Gaussian has deviation 1, but every share rounds to nothing
    exact, gaussian = deltas(0.1, 100, 1, 1.0)
    assert exact > 0.99
    assert gaussian < 0.2
