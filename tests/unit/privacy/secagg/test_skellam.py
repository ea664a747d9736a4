"""Skellam noise: its price against divergences computed number by number, and its grid by hand arithmetic."""

import math
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting import rdp
from scipy.special import ive, logsumexp
from scipy.stats import skellam

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.core.seeding import rng_for
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.curve import curve
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from fedrec.privacy.accounting.skellam import LEAST_RESOLUTION, renyi_of_skellam
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.errors import SecureAggregationError
from fedrec.privacy.secagg.integers.coding import CODES, Sizes
from fedrec.privacy.secagg.integers.lattice import Lattice
from fedrec.privacy.secagg.integers.quantisation import encode
from fedrec.privacy.secagg.integers.rotation import Rotation, hadamard, width_for
from fedrec.privacy.statement.statement import statement
from simulations.benchmarks import discrete

DELTA = 1e-4
ORDERS = np.array([2.0, 3.0, 5.0, 8.0, 16.0, 32.0])


def log_skellam(values, variance):
    """Return the log chance of each value: exp(-v) I_k(v) for variance v."""
    return np.log(ive(np.abs(values), variance))


def divergence(order, shift, variance):
    """Return the Renyi divergence of Skellam noise from itself moved by `shift`, by adding up its numbers."""
    reach = int(shift * order + 9 * math.sqrt(variance) + 10)
    values = np.arange(-reach, reach + 1)
    there, back = log_skellam(values - shift, variance), log_skellam(values, variance)
    seen = np.isfinite(there) & np.isfinite(back)
    return logsumexp(order * there[seen] - (order - 1) * back[seen]) / (order - 1)


@pytest.mark.parametrize("noise", [1.0, 2.0, 4.0])
def test_the_price_is_never_below_the_divergence_itself(noise):
    variance = (noise * LEAST_RESOLUTION) ** 2
    # one number moved by the whole norm of 16 steps; 256 numbers moved by one step each, of the same norm
    for numbers, shift in ((1, 16), (4, 8), (256, 1)):
        exact = np.array([numbers * divergence(order, shift, variance) for order in ORDERS[:4]])
        assert (exact <= renyi_of_skellam(ORDERS[:4], noise)).all()
        assert exact == pytest.approx(renyi_of_skellam(ORDERS[:4], noise), rel=0.06)


def test_the_bound_by_hand_and_between_whole_orders_on_their_chord():
    # z = 2: a = 2 has 2 / 8 + 9 / (4 * 16 * 256), a = 3 has 3 / 8 + 11 / (4 * 16 * 256)
    two, three = 0.25 + 9 / 16384, 0.375 + 11 / 16384
    expected = [two, two, three, (two + 2 * three) / 2 / 1.5]
    assert renyi_of_skellam(np.array([1.5, 2.0, 3.0, 2.5]), 2.0) == pytest.approx(expected)
    between = np.array([1.5, 2.5, 7.25])
    exact = np.array([divergence(order, 16, 32.0**2) for order in between])
    assert (exact <= renyi_of_skellam(between, 2.0)).all()


@pytest.mark.parametrize("noise", [1.0, 3.0, 10.0])
def test_the_price_is_the_gaussians_but_for_less_than_four_percent(noise):
    gaussian = epsilon([Release(noise, 1.0, 10)], DELTA)
    discrete = epsilon([Release(noise, 1.0, 10, "skellam")], DELTA)
    assert gaussian.pld < gaussian.rdp < discrete.pld == discrete.rdp
    assert discrete.pld < 1.04 * gaussian.rdp


def test_rounds_compose_beside_gaussians_and_replacement_is_half_the_noise():
    once = renyi_of_skellam(ORDERS, 2.0)
    whole = epsilon([Release(2.0, 1.0, 7, "skellam"), Release(5.0)], DELTA).pld
    assert whole <= rdp.compute_epsilon(ORDERS, 7 * once + ORDERS / 50, DELTA)[0]
    assert whole > epsilon([Release(2.0, 1.0, 7, "skellam")], DELTA).pld
    replaced = epsilon([Release(4.0, 1.0, 7, "skellam", adjacency="replace-one")], DELTA)
    assert replaced == epsilon([Release(2.0, 1.0, 7, "skellam")], DELTA)


def test_noise_is_calibrated_to_a_claim_and_is_a_little_more_than_gaussian():
    noise = calibrate(8.0, DELTA, 1.0, 10, mechanism="skellam")
    assert 8 * (1 - 1e-3) <= epsilon([Release(noise, 1.0, 10, "skellam")], DELTA).pld <= 8
    assert 1 < noise / calibrate(8.0, DELTA, 1.0, 10) < 1.1


def test_sampling_has_no_price_and_no_gaussian_mu_is_claimed():
    with pytest.raises(PrivacyError, match=r"a price without sampling and shuffler only"):
        Release(1.0, 0.5, mechanism="skellam")
    with pytest.raises(PrivacyError, match=r"a price without sampling and shuffler only"):
        Release(1.0, mechanism="skellam", mixed=9)
    promised = curve([Release(2.0, 1.0, 3, "skellam")], DELTA)
    assert (promised.mu, promised.tradeoff) == (math.inf, ())
    assert promised.epsilons[0] == (DELTA, epsilon([Release(2.0, 1.0, 3, "skellam")], DELTA).pld)


def test_a_rotation_keeps_lengths_spreads_one_number_and_is_undone():
    assert hadamard(np.array([1.0, 0.0, 0.0, 0.0])).tolist() == [0.5] * 4
    assert [width_for(length) for length in (0, 1, 2, 3, 1024, 1025)] == [1, 1, 2, 4, 1024, 2048]
    rotation = Rotation(seed=1, round=2, length=100, width=128)
    vector = np.zeros(100)
    vector[3] = 2.0
    turned = rotation.turn(vector)
    assert np.abs(turned) == pytest.approx(np.full(128, 2 / math.sqrt(128)))
    assert rotation.back(turned) == pytest.approx(vector, abs=1e-15)
    assert (Rotation(1, 3, 100, 128).turn(vector) != turned).any()


LATTICE = Lattice(bits=12, cohort=10, width=256, clip_norm=0.5, deviation=0.5)


def test_the_grid_has_room_for_five_deviations_of_the_worst_sum():
    # (2^11 / 5)^2 - 10 / 4 = r^2 (10^2 / 256 + 10 * 1)
    assert pytest.approx(math.sqrt((409.6**2 - 2.5) / (100 / 256 + 10))) == LATTICE.resolution
    assert pytest.approx(0.5) == LATTICE.step * LATTICE.resolution
    s = LATTICE.longest
    assert s**2 + 256 / 4 + s + 16 / 2 == pytest.approx(LATTICE.resolution**2)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e6])
def test_rounding_never_lengthens_beyond_the_norm_and_is_right_on_average(scale):
    vector = np.random.default_rng(0).normal(0, scale, 256)
    drawn = np.stack([LATTICE.integers(vector, np.random.default_rng(seed)) for seed in range(400)])
    assert (np.square(drawn).sum(axis=1) <= LATTICE.resolution**2).all()
    steps = vector / LATTICE.step
    steps *= min(1.0, LATTICE.longest / max(np.linalg.norm(steps), 1e-300))
    # each mean of 400 roundings has a deviation of at most 1 / (2 * 20), and 256 of them are looked at
    assert np.abs(drawn.mean(axis=0) - steps).max() < 5 / 40


def test_shares_of_the_noise_add_up_to_skellam_noise_of_the_charged_variance():
    agreed = Agreement(10, 8, 1, 12, 0.5, 2.0, 5, 1, 3, 1e-6, "skellam")
    code = agreed.code(1, 256)
    shares = [code.lattice.noise(rng_for(5, "share", client, turn)) for client in range(7) for turn in range(40)]
    totals = np.sum(np.reshape(shares, (7, 40 * 256)), axis=0)
    variance = (2.0 * code.lattice.resolution) ** 2
    # 10,240 draws: the sample variance is within 4 sqrt(2 / n) = 5.6 %
    assert totals.var() == pytest.approx(variance, rel=0.056)
    half = variance / 2
    for quantile in (0.05, 0.5, 0.95):
        below = np.mean(totals <= skellam.ppf(quantile, half, half))
        assert below == pytest.approx(quantile, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bits": 8}, "take more privacy.secure_aggregation.bits"),
        ({"width": 2**20}, "too coarse for 10 clients, 1048576 numbers"),
    ],
)
def test_a_grid_that_is_too_coarse_is_refused(changes, why):
    with pytest.raises(ConfigError, match=why):
        replace(LATTICE, **changes)


def test_more_bits_than_noise_is_drawn_for_are_refused_before_any_work():
    with pytest.raises(ConfigError, match=r"sums of up to 20 bits, got 32; set privacy.secure_aggregation.bits=16"):
        Agreement(10, 8, 1, 32, 0.5, 2.0, 5, 1, 3, 1e-6, "skellam")
    with pytest.raises(ConfigError, match="too coarse for 10 clients, 1048576 numbers"):
        Agreement(10, 8, 1, 12, 0.5, 2.0, 5, 1, 3, 1e-6, "skellam").check(2**20)


def test_a_sum_is_decoded_to_the_sum_of_the_changes_up_to_noise_and_rounding():
    sizes = Sizes(bits=16, cohort=10, clip_norm=1.0, deviation=0.1, length=200)
    code = CODES["skellam"](sizes, 3, 1)
    changes = np.random.default_rng(1).normal(0, 0.02, (10, 200))
    integers = [code.integers(change, np.random.default_rng(client)) for client, change in enumerate(changes)]
    total = encode(np.sum(integers, axis=0), 16, np.dtype("<u2"))
    error = code.reals(total) - changes.sum(axis=0)
    # deviation 0.1 sqrt(10) a number; the sample's is within 4 / sqrt(2 * 200) = 20 %
    assert error.std() == pytest.approx(0.1 * math.sqrt(10), rel=0.2)
    with pytest.raises(SecureAggregationError, match="not finite"):
        code.integers(np.full(200, np.inf), np.random.default_rng(0))


SKELLAM = {
    "rounds": 4,
    "federation": {"partition": "users"},
    "privacy": {
        "epsilon": 8.0,
        "trust": "secure-aggregation",
        "secure_aggregation": {"noise": "skellam", "bits": 16},
    },
}


def test_the_plan_charges_its_ledger_for_skellam_noise_and_says_so():
    planned = plan(Experiment.model_validate(SKELLAM), UnitCounts(users=50, examples=500, clients=50), participations=4)
    assert planned.release.mechanism == "skellam"
    assert 7.99 <= epsilon([replace(planned.release, count=4)], planned.delta).pld <= 8
    assert planned.agreement.vector_bytes(1, 1000) == 1024 * 2
    ledger = Ledger()
    for number in range(1, 5):
        ledger = planned.charge(ledger, number, range(50))
    assert Ledger.from_json(ledger.to_json()) == ledger
    said = statement(planned, ledger)
    assert 7.99 <= said.summary["epsilon"] <= 8
    assert "RDP accountant, Agarwal, Kairouz and Liu 2021" in said.text
    assert "make Skellam noise of" in said.text
    assert "No mu of Gaussian" in said.text
    assert "PLD" not in said.parts["Promise"]


def test_the_benchmark_shows_fewer_bytes_and_an_error_close_to_the_central_one():
    central, fine, *coarse = discrete.compare(8.0)
    assert (central.ratio, central.upload_bytes, fine.upload_bytes) == (1.0, 8192, 8192)
    assert [row.upload_bytes for row in coarse] == [2560, 3072, 4096, 5120]
    # 66 shares of which 52 would do; the deviation of 2,048 numbers is known to within 4 / sqrt(4096) = 6 %
    assert fine.ratio == pytest.approx(math.sqrt(66 / 52), rel=0.0625)
    assert all(1.0 < row.error / central.error < 1.3 for row in coarse)
    assert discrete.compare(1.0)[2].error is None
