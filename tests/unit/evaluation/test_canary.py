"""The canary: what only a leak can do ends a run, measured against the strongest that no leak can reach."""

import numpy as np
import pytest

from fedrec.core.errors import CanaryError
from fedrec.evaluation.controls.base import Control
from fedrec.evaluation.controls.canary import check_canary, may_be_chance
from fedrec.metrics.evaluation import Evaluation
from fedrec.privacy.disclosure import PRIVATE
from fedrec.tasks.base import Headline

NDCG = Headline("last20", "ndcg@10")
RMSE = Headline("last20", "rmse", higher_is_better=False)


def control(value, *, reference=True, users=40, metric="ndcg@10"):
    values = np.full(users, value)
    found = Evaluation("last20", np.arange(users), {metric: values}, (), np.empty((users, 0), dtype=np.int64), {})
    return Control({"last20": found}, "", PRIVATE, reference)


def controls(local, **references):
    return {"local_only": control(local, reference=False)} | {name: control(v) for name, v in references.items()}


def test_it_is_quiet_as_long_as_the_strongest_is_not_beaten():
    assert not check_canary(controls(0.02, ease=0.21), NDCG)
    assert not check_canary(controls(0.21, ease=0.21), NDCG)
    # above EASE, which ignores order, and below what does not
    assert not check_canary(controls(0.23, ease=0.21, linear_sum=0.26, item_knn=0.15), NDCG)


@pytest.mark.parametrize("local", [0.98, 0.27, float("nan")])
def test_it_stops_what_only_a_leak_can_do(local):
    with pytest.raises(CanaryError, match=r"linear_sum, the strongest of 2 .* 0\.260.*leaked into training.*negatives"):
        check_canary(controls(local, ease=0.21, linear_sum=0.26), NDCG)


def test_a_reference_without_a_number_hides_no_leak():
    for order in ({"ease": float("nan"), "linear_sum": 0.26}, {"linear_sum": 0.26, "ease": float("nan")}):
        with pytest.raises(CanaryError):
            check_canary(controls(0.02, **order), NDCG)


def test_the_same_model_trained_centrally_hides_no_leak_that_it_shares():
    leaky = {**controls(0.95, ease=0.21), "central": control(0.97, reference=False)}
    with pytest.raises(CanaryError, match=r"ease, the strongest of 1"):
        check_canary(leaky, NDCG)


def test_without_both_sides_there_is_nothing_to_compare():
    assert not check_canary({"local_only": control(0.98, reference=False), "base": control(0.1, reference=False)}, NDCG)
    assert not check_canary({"ease": control(0.2)}, NDCG)


def test_of_errors_the_smaller_is_the_better():
    def errors(local):
        return {
            "local_only": control(local, reference=False, metric="rmse"),
            "one": control(0.95, metric="rmse"),
            "other": control(0.90, metric="rmse"),
        }

    assert not check_canary(errors(0.92), RMSE)
    with pytest.raises(CanaryError, match="other, the strongest of 2"):
        check_canary(errors(0.1), RMSE)


def test_a_lead_of_few_users_is_told_and_ends_nothing():
    few = {"local_only": control(0.5, reference=False, users=2), "ease": control(0.2, users=2)}
    assert "of 2 it may be chance" in check_canary(few, NDCG)


@pytest.mark.parametrize(
    ("users", "gains", "chance"),
    [
        (2, [0.4, 0.5], True),  # all of them ahead, p = 2 / 2^2
        (8, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], False),  # p = 2 / 2^8 = 0.008
        (8, [0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, 0.8], True),
        (30, [0.4, *[0.0] * 29], False),  # enough users: their means are believed
    ],
)
def test_of_few_users_a_lead_may_be_chance(users, gains, chance):
    reference = np.full(users, 0.1)
    assert may_be_chance(reference + gains, [reference]) == chance


def test_a_lead_over_several_is_beyond_chance_only_if_it_is_over_each():
    local, beaten = np.linspace(0.5, 0.9, 8), np.full(8, 0.1)
    level = local + np.array([0.1, -0.11, 0.12, -0.13, 0.14, -0.15, 0.16, -0.17])
    assert not may_be_chance(local, [beaten])
    assert may_be_chance(local, [beaten, level])
    assert may_be_chance(local, [level, beaten])
