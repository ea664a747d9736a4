"""Adaptive clipping by hand: bits, their price, the clip norm's step (Andrew et al. 2021)."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fedrec.config import Experiment
from fedrec.errors import PrivacyError
from fedrec.privacy.accounting import Release, epsilon
from fedrec.privacy.plan import UnitCounts, plan
from server.privacy import NoisyMean
from server.setting import Setting
from server.total import Adder
from tests.tiny import update

UNITS = UnitCounts(users=660, examples=60_000, clients=660)


def adaptive(noise_multiplier=1e-9, **changes):
    privacy = {
        "trust": "central",
        "noise_multiplier": noise_multiplier,
        "clip_norm": 2.0,
        "adaptive_clip": {"quantile": 0.5, "lr": 0.2, "noise": 0.05, **changes},
    }
    return plan(Experiment.model_validate({"privacy": privacy, "federation": {"partition": "users"}}), UNITS, 1)


def bracket(planned, expected_cohort=4.0):
    return NoisyMean(Setting(0, 0, lambda _: [0, 1, 2, 3], expected_cohort, 1, 100.0, planned))


def moved(bracket, *updates, number=1):
    """Return the clip norm after a round of these updates."""
    shape = {"w": np.zeros(2, dtype=np.float32)}
    bracket.change(bracket.adder.add(updates), shape, number)
    return bracket.clip_norm


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


def test_the_clip_norm_moves_against_the_share_of_short_updates():
    # three of four updates are no longer than 2: share 3/4, quantile 1/2, so 2 * exp(-0.2 * (0.75 - 0.5))
    planned = adaptive()
    planned = replace(planned, clipping=replace(planned.clipping, bit_deviation=0.0))
    after = moved(bracket(planned), update(0, 3, 4), update(1, 2, 0), update(2, 0, 1), update(3, 0, 0))
    assert after == pytest.approx(2 * math.exp(-0.2 * 0.25))
    # nobody answers: no bit is in the sum, and a share of 1/2 is no reason to move
    assert moved(bracket(planned)) == 2.0
    # all four too long: share 0, so it grows: 2 * exp(0.2 * 0.5)
    assert moved(bracket(planned), *(update(i, 30, 0) for i in range(4))) == pytest.approx(2 * math.exp(0.1))


def test_noise_follows_the_clip_norm_and_is_more_than_the_plans():
    planned = adaptive(1.5)
    here = bracket(planned)
    here.clip_norm = 0.5
    assert here.deviation == 0.5 * planned.clipping.noise_multiplier > 0.5 * 1.5
    assert here.adder == Adder(100.0, 0.5)


def test_a_restart_goes_on_with_the_clip_norm_that_was_reached():
    first, second = (bracket(adaptive(1.5)) for _ in range(2))
    reached = moved(first, update(0, 3, 4))
    second.restore(first.state())
    assert second.clip_norm == reached != 2.0
    assert moved(first, update(0, 3, 4), number=2) == moved(second, update(0, 3, 4), number=2)


def test_a_client_more_moves_the_sum_of_bits_by_a_half():
    adder = bracket(adaptive()).adder
    some = [update(0, 3, 4), update(1, 1, 0)]
    for one in (update(2, 9, 9), update(2, 0, 1)):
        less, more = (adder.add(cohort) for cohort in (some, [*some, one]))
        bits = [total.unclipped - len(total.accepted) / 2 for total in (less, more)]
        assert abs(bits[1] - bits[0]) == 0.5
