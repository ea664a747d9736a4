"""The best of a random number of trials: the paper's corollaries by hand, dp-accounting's numbers, and its laws."""

import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent, dp_event, rdp
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.accounting.tuning import LAWS, epsilon_of_best

DELTA = 1e-5
TRIAL = (Release(4.0, 1.0, 5),)
SHAPES = {"poisson": math.inf, "geometric": 1.0, "logarithmic": 0.0}
"""What dp-accounting calls them."""


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mean", [2, 10, 100])
def test_dp_accounting_says_the_same(law: str, mean: float) -> None:
    event = SelfComposedDpEvent(GaussianDpEvent(4.0), 5)
    theirs = rdp.RdpAccountant().compose(dp_event.RepeatAndSelectDpEvent(event, mean, SHAPES[law]))
    assert epsilon_of_best([TRIAL], mean, law, DELTA) == pytest.approx(theirs.get_epsilon(DELTA), rel=1e-6)


@pytest.mark.parametrize(("law", "times"), [("geometric", 3), ("logarithmic", 2)])
def test_pure_privacy_pays_three_times_or_twice_whatever_the_mean(law: str, times: int) -> None:
    # corollary 3: (2 + eta) epsilon, with eta = 1 as Liu and Talwar 2019 have it, and 0
    orders, curve = np.array([1e8, 1e9]), np.full(2, 0.7)
    assert LAWS[law](orders, curve, 1000.0) == pytest.approx(times * 0.7, abs=1e-5)


def test_concentrated_privacy_pays_what_corollary_4_says() -> None:
    # rho = 0.1, geometric of mean 10: gamma = 0.1, and rho <= log(1 / gamma); orders hold both of its minima
    rho, mean = 0.1, 10.0
    second, first = math.sqrt(math.log(mean) / rho), 1 + math.sqrt(math.log(mean) / rho)
    orders = np.array([second, first, 20.0])
    found = LAWS["geometric"](orders, rho * orders, mean)
    halting = 2 * 2 * math.sqrt(rho * math.log(mean)) - rho
    assert found[1] == pytest.approx(2 * math.sqrt(rho * math.log(mean)) + halting)
    assert found[2] == pytest.approx(rho * 19 + math.log(mean) / 19 + halting)


@pytest.mark.parametrize("law", ["geometric", "logarithmic"])
def test_a_single_trial_costs_its_own(law: str) -> None:
    assert epsilon_of_best([TRIAL], 1, law, DELTA) == pytest.approx(epsilon(TRIAL, DELTA).rdp)


@settings(max_examples=30, deadline=None)
@given(
    law=st.sampled_from(sorted(LAWS)),
    means=st.tuples(st.floats(1, 1e4), st.floats(1, 1e4)),
    noise=st.floats(0.5, 50),
    rate=st.sampled_from([0.1, 1.0]),
)
def test_more_expected_trials_never_cost_less_and_none_less_than_one(
    law: str, means: tuple[float, float], noise: float, rate: float
) -> None:
    trial = [(Release(noise, rate, 5),)]
    few, many = (epsilon_of_best(trial, mean, law, DELTA) for mean in sorted(means))
    assert epsilon(trial[0], DELTA).rdp <= few + 1e-9 <= many + 2e-9


def test_the_grids_worst_setting_decides() -> None:
    worse = (Release(2.0, 1.0, 5),)
    of_both = epsilon_of_best([TRIAL, worse, TRIAL], 10, "geometric", DELTA)
    assert (
        of_both == epsilon_of_best([worse], 10, "geometric", DELTA) > epsilon_of_best([TRIAL], 10, "geometric", DELTA)
    )


def test_nothing_released_costs_nothing_and_no_noise_everything() -> None:
    assert epsilon_of_best([], 10, "poisson", DELTA) == 0
    assert epsilon_of_best([(), (Release(1.0, 1.0, 0),)], 10, "geometric", DELTA) == 0
    assert epsilon_of_best([TRIAL, (Release(0.0),)], 10, "poisson", DELTA) == math.inf


@pytest.mark.parametrize(("mean", "law", "delta"), [(0.5, "poisson", DELTA), (2, "fixed", DELTA), (2, "poisson", 1.0)])
def test_what_no_theorem_covers_is_refused(mean: float, law: str, delta: float) -> None:
    with pytest.raises(PrivacyError, match="has no price here; the number is poisson, geometric, logarithmic"):
        epsilon_of_best([TRIAL], mean, law, delta)
