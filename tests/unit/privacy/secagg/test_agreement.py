"""What the rounds of a secure sum have in common, by hand arithmetic."""

import math
from dataclasses import replace

import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import seed_for
from fedrec.experiment.config import Experiment
from fedrec.privacy.secagg.agreement import Agreement, agreement_of

AGREED = Agreement(
    cohort=10,
    threshold=8,
    colluding=1,
    bits=32,
    clip_norm=0.5,
    noise_multiplier=2.0,
    rounds=5,
    masked_rounds=1,
    seed=3,
    untied=1e-6,
)


def agreed(clients, noise=1.0, participation=1.0, **chosen):
    tree = {
        "seed": 4,
        "rounds": 3,
        "federation": {"partition": "users", "participation": participation},
        "privacy": {"noise_multiplier": noise, "trust": "secure-aggregation", "secure_aggregation": chosen},
    }
    return agreement_of(Experiment.model_validate(tree), clients, noise, 1e-5)


@pytest.mark.parametrize(
    ("clients", "dropouts", "threshold"),
    [(10, 0.2, 8), (5, 0.2, 4), (660, 0.2, 528), (14, 0.2, 12), (10, 0.0, 10), (2, 0.2, 2), (3, 0.49, 2), (4, 0.4, 3)],
)
def test_the_threshold_is_the_tolerated_rest_of_the_cohort_and_more_than_half(clients, dropouts, threshold):
    assert agreed(clients, dropouts=dropouts).threshold == threshold


def test_the_cohort_is_the_fixed_one():
    assert agreed(660, participation=0.1).cohort == 66


def test_the_fewest_honest_summands_make_the_whole_noise():
    # z C = 2 * 0.5 = 1 over sqrt(8 - 1) shares
    share = AGREED.share
    assert share == pytest.approx(1 / math.sqrt(7))
    assert share * math.sqrt(AGREED.threshold - AGREED.colluding) == pytest.approx(1.0)


def test_the_first_rounds_are_masked_and_never_more_than_there_are():
    assert [AGREED.masked(round_) for round_ in (1, 2, 5)] == [True, False, False]
    assert agreed(10, masked_rounds=0).masked_rounds == 0
    assert agreed(10, masked_rounds=99).masked_rounds == 3


def test_a_small_cohort_masks_with_everybody_and_a_large_one_with_an_even_few():
    assert agreed(32).neighbours is None
    few = agreed(2000).neighbours
    assert few is not None
    assert few % 2 == 0
    assert few < 200
    assert agreed(2000, colluding=200).neighbours > few


def test_the_public_seed_does_not_tell_the_one_behind_the_noise():
    assert agreed(10).seed == seed_for(4, "secure aggregation ring") != 4


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cohort": 1, "threshold": 1}, "a sum over 1 client is that client's vector"),
        ({"threshold": 5}, "not more than half"),
        ({"colluding": 8}, "of 8 clients, 8 collude: 0 are left to add noise"),
        ({"bits": 4}, "no step has room for 10 clients"),
        ({"noise_multiplier": 1e-9}, "would not pass for Gaussian"),
    ],
)
def test_what_cannot_be_summed_is_refused(changes, why):
    with pytest.raises(ConfigError, match=why):
        replace(AGREED, **changes)


def test_a_grid_too_coarse_for_so_many_numbers_is_refused_beforehand():
    # 12 bits: (2^11 - 1) // 10 - 1 = 203 steps for 0.5 + 12 * 0.38; so a step is 2^-5 and 1,024 numbers may
    # lengthen by 32 * 2^-6 = 0.5, the whole norm
    coarse = replace(AGREED, bits=12)
    assert coarse.code(0, 1).grid.step == 2**-5
    coarse.check(1000)
    with pytest.raises(ConfigError, match="too coarse for 1024 numbers"):
        coarse.check(1024)
