"""Adaptive clipping by hand: bits, their price, the clip norm's step (Andrew et al. 2021)."""

import math
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

from fedrec.core.errors import PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from fedrec.privacy.plan import UnitCounts, plan
from server.aggregation.privacy import NoisyMean
from server.aggregation.update_sum import SumAggregator
from server.context import StrategyContext
from tests.tiny import update


def adaptive(noise_multiplier=1e-9, clients=660, **changes):
    privacy = {
        "trust": "central",
        "noise_multiplier": noise_multiplier,
        "clip_norm": 2.0,
        "adaptive_clip": {"quantile": 0.5, "lr": 0.2, "noise": 0.05, **changes},
    }
    wanted = Experiment.model_validate({"privacy": privacy, "federation": {"partition": "users"}})
    return plan(wanted, UnitCounts(users=660, examples=60_000, clients=clients), 1)


NEIGHBOURS = [
    (update(0, 0, 1), update(0, 0, 0)),
    (update(0, 3, 4), update(0, 0, 0)),
    (update(0, 0, 0), update(0, 0, 0)),
]
"""Client 0's change with its data (short, long, none) and when they have gone away."""


def mechanism(planned, expected_cohort=4.0):
    return NoisyMean(StrategyContext(0, 0, lambda _: [0, 1, 2, 3], expected_cohort, 1, 100.0, planned))


def moved(mechanism, *updates, number=1):
    """Return the clip norm after a round of these updates."""
    shape = {"w": np.zeros(2, dtype=np.float32)}
    mechanism.change(mechanism.aggregator.add(updates), shape, number)
    return mechanism.clip_norm


def test_updates_and_bits_together_cost_what_the_plan_says():
    # theorem 1: 1 / z^2 = 1 / z_updates^2 + 1 / (2 sigma_bits)^2; sigma_bits = 0.05 * 660 = 33
    planned = adaptive(1.5)
    bits, updates = planned.clipping.bit_deviation, planned.clipping.noise_multiplier
    assert bits == pytest.approx(33.0)
    assert 1 / updates**2 + 1 / (2 * bits) ** 2 == pytest.approx(1 / 1.5**2)
    # A bit moves their sum by 1/2, so noise of 33 is 66 sensitivities: two releases of the same unit, composed.
    together = epsilon([Release(updates), Release(2 * bits)], 1e-5).pld
    assert together == pytest.approx(epsilon([planned.release], 1e-5).pld, rel=1e-6)
    assert planned.release == Release(1.5, of="updates and clipped share")


def test_bits_that_would_cost_more_than_everything_are_refused():
    # 2 * 0.001 * 660 = 1.32 is not above 1.5; 1.5 / (2 * 660) = 0.00114 is the least
    with pytest.raises(PrivacyError, match=r"adaptive_clip\.noise=0\.001 .* set it above 0\.00114"):
        adaptive(1.5, noise=0.001)


@pytest.mark.parametrize(("rounds", "twice"), [(1, 10.8), (4, 18.1)])
def test_a_client_whose_data_go_away_costs_what_is_claimed_and_not_what_a_bit_of_sensitivity_1_would(rounds, twice):
    # 11 clients a round, noise of .05 * 11 = .55 on their bits, 561 units; priced by dp-accounting itself
    delta, bits = 561**-1.1, 0.05 * 11
    planned = adaptive(calibrate(8.0, delta, 1.0, rounds), clients=11)
    aggregator = mechanism(planned).aggregator
    others = [update(client, 0, client / 3) for client in range(1, 11)]
    moves = [aggregator.add([gone, *others]).bits - aggregator.add([here, *others]).bits for here, gone in NEIGHBOURS]
    assert moves == [-0.5, 0.5, 0.0]
    per_round = {
        sensitivity: (planned.clipping.noise_multiplier**-2 + (sensitivity / bits) ** 2) ** -0.5
        for sensitivity in (max(map(abs, moves)), 1.0)
    }
    found = [
        from_gaussian_mechanism(noise, value_discretization_interval=1e-3)
        .self_compose(rounds)
        .get_epsilon_for_delta(delta)
        for noise in per_round.values()
    ]
    assert found == [pytest.approx(8.0, rel=2e-3), pytest.approx(twice, abs=0.05)]


def test_the_clip_norm_moves_against_the_share_of_short_updates():
    # three of four updates are no longer than 2: share 3/4, quantile 1/2, so 2 * exp(-0.2 * (0.75 - 0.5))
    planned = adaptive()
    planned = replace(planned, clipping=replace(planned.clipping, bit_deviation=0.0))
    after = moved(mechanism(planned), update(0, 3, 4), update(1, 2, 0), update(2, 0, 1), update(3, 0, 1e-30))
    assert after == pytest.approx(2 * math.exp(-0.2 * 0.25))
    # nobody answers: no bit is in the sum, and a share of 1/2 is no reason to move
    assert moved(mechanism(planned)) == 2.0
    # no change of anybody brings no bit: the same as if nobody had answered
    assert moved(mechanism(planned), *(update(i, 0, 0) for i in range(4))) == 2.0
    # one short, one long, two without data: (1/2 - 1/2) / 4 + 1/2 = 1/2
    assert moved(mechanism(planned), update(0, 1, 0), update(1, 3, 4), update(2, 0, 0), update(3, 0, 0)) == 2.0
    # all four too long: share 0, so it grows: 2 * exp(0.2 * 0.5)
    assert moved(mechanism(planned), *(update(i, 30, 0) for i in range(4))) == pytest.approx(2 * math.exp(0.1))


def test_noise_follows_the_clip_norm_and_is_more_than_the_plans():
    planned = adaptive(1.5)
    here = mechanism(planned)
    here.clip_norm = 0.5
    assert here.deviation == 0.5 * planned.clipping.noise_multiplier > 0.5 * 1.5
    assert here.aggregator == SumAggregator(clip_norm=0.5)


def test_a_restart_goes_on_with_the_clip_norm_that_was_reached():
    first, second = (mechanism(adaptive(1.5)) for _ in range(2))
    reached = moved(first, update(0, 3, 4))
    second.restore(first.state())
    assert second.clip_norm == reached != 2.0
    assert moved(first, update(0, 3, 4), number=2) == moved(second, update(0, 3, 4), number=2)


def test_a_client_more_moves_the_sum_of_bits_by_a_half():
    aggregator = mechanism(adaptive()).aggregator
    some = [update(0, 3, 4), update(1, 1, 0)]
    for one in (update(2, 9, 9), update(2, 0, 1)):
        less, more = (aggregator.add(cohort).bits for cohort in (some, [*some, one]))
        assert abs(more - less) == 0.5
