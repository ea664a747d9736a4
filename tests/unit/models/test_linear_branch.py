"""The linear branch: counts that add up, weights in closed form, a history that decays, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.evaluation.result.linear_branch import GAINS, SHARES, branches
from fedrec.experiment.config import LinearConfig
from fedrec.experiment.rules import RULES
from fedrec.models.linear.branch import GAIN, WEIGHTS, with_branch
from fedrec.models.linear.item_item import ease_weights_, pair_counts
from fedrec.models.linear.next_item import next_item_sums, next_item_weights_
from fedrec.models.linear.sums import NEXT, SUMS, TOGETHER, asked_sums, pooled_weights, square, weights_of
from fedrec.training.linear_sums import client_sum
from tests.handmade import CLIENTS, NUM_ITEMS, context, experiment, interactions, queries


def test_pairs_are_counted_once_a_user_and_the_diagonal_counts_users():
    # user 1 has items 2, 4 and 6, item 4 twice; user 0 has item 2, too
    counts = pair_counts(interactions())
    assert counts[4, 2] == counts[2, 4] == counts[4, 4] == 1
    assert counts[2, 2] == 2


def test_clients_counts_add_up_to_those_of_all_data_exactly():
    made = context()
    total = np.sum([client_sum(made, client, TOGETHER) for client in range(len(CLIENTS))], axis=0, dtype=np.float64)
    assert total.shape == (SUMS[TOGETHER].size(NUM_ITEMS),) == (28,)
    np.testing.assert_array_equal(square(total, NUM_ITEMS), pair_counts(interactions()))


def test_clients_fading_pasts_add_up_to_the_regression_on_all_data():
    made, config = context(), LinearConfig(next_item=True, decay=3.0, l2=2.0)
    own = replace(made, experiment=experiment(linear=config.model_dump()))
    total = np.sum([client_sum(own, client, NEXT) for client in range(len(CLIENTS))], axis=0, dtype=np.float64)
    assert total.shape == (SUMS[NEXT].size(NUM_ITEMS),) == (28 + 49,)
    direct = next_item_weights_("test", *next_item_sums(interactions(), 3.0), 2.0)
    assert np.abs(direct).max() > 0.1
    np.testing.assert_allclose(weights_of(NEXT, total, NUM_ITEMS, config), direct, atol=1e-6)
    np.testing.assert_allclose(pooled_weights(interactions(), config)[NEXT], direct, atol=1e-6)


@pytest.mark.parametrize(("next_item", "asked"), [(False, (TOGETHER,)), (True, (TOGETHER, NEXT))])
def test_a_branch_asks_for_the_sums_of_its_parts(next_item, asked):
    config = LinearConfig(next_item=next_item)
    assert asked_sums(config) == tuple(pooled_weights(interactions(), config)) == asked


def test_a_score_is_the_models_plus_gain_times_the_branch():
    weights = np.array([[0.0, 2.0], [1.0, 0.0]], dtype=np.float32)
    branch = {WEIGHTS: torch.from_numpy(weights), GAIN: torch.tensor(10.0)}
    score = with_branch(lambda asked: np.array([[5.0, 7.0]], dtype=np.float32), branch, decay=1.0)
    # history 0, 1: item 0 is worth exp(-1); 5 + 10 * 1 * 1 and 7 + 10 * exp(-1) * 2
    np.testing.assert_allclose(score(queries([[0, 1]])), [[15, 7 + 20 * np.exp(-1)]], rtol=1e-6)


def test_a_branch_of_one_part_differs_in_the_gain_alone():
    weights = torch.eye(2)
    found = branches({TOGETHER: weights})
    assert [branch.gain for branch in found] == list(GAINS)
    assert [branch.parameters[GAIN].item() for branch in found] == list(GAINS)
    assert all(branch.parameters[WEIGHTS] is weights and branch.share == 0 for branch in found)


def test_parts_are_brought_to_one_norm_before_they_are_added():
    # norms 5 and 10: a share of 2 of the second part is 2 * 5 / 10 of it
    together, following = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0, 10.0], [0.0, 0.0]])
    found = {
        (branch.gain, branch.share): branch.parameters[WEIGHTS]
        for branch in branches({TOGETHER: together, NEXT: following})
    }
    assert len(found) == 1 + len(SHARES) * (len(GAINS) - 1), "without a gain a share changes nothing"
    assert torch.equal(found[20.0, 2.0], torch.tensor([[3.0, 10.0], [0.0, 4.0]]))
    assert torch.equal(found[20.0, 0.0], together)
    assert torch.equal(branches({TOGETHER: together, NEXT: torch.zeros(2, 2)})[-1].parameters[WEIGHTS], together)


@pytest.mark.parametrize(
    ("epsilon", "linear", "public", "told"),
    [
        (8.0, {"on": True}, 0.0, "set linear.users = 'public', leave it out, or train without privacy"),
        (8.0, {"on": True, "users": "public"}, 0.0, "there are none; set split.public"),
        ("inf", {"on": True, "users": "public"}, 0.0, "there are none; set split.public"),
        (8.0, {"on": True, "users": "public"}, 0.15, ""),
        (8.0, {"on": False}, 0.0, ""),
        ("inf", {"on": True}, 0.0, ""),
    ],
)
def test_under_privacy_a_branch_is_of_public_users_or_refused(epsilon, linear, public, told):
    wanted = experiment(linear=linear, split={"public": public}, privacy={"epsilon": float(epsilon)})
    said = [words for rule in RULES if "linear." in (words := rule.broken(wanted))]
    assert len(said) == bool(told)
    assert all(told in words for words in said)


def test_private_validation_users_are_asked_nothing_that_was_not_planned():
    # found after the training before: the plan has no question about a branch, and none may be asked without one
    private = {"linear": {"on": True, "users": "public"}, "split": {"public": 0.15}, "privacy": {"trust": "central"}}
    wanted = experiment(**private, evaluation={"private": {"epsilon": 2.0}})
    said = [words for rule in RULES if "linear." in (words := rule.broken(wanted))]
    assert len(said) == 1
    assert "evaluation.private has no plan for" in said[0]


def test_all_windows_are_of_sequences_alone():
    said = [rule.broken(experiment(training={"windows": "all", "example": "prefix"})) for rule in RULES]
    assert any("training.windows = 'all'" in each for each in said)


def test_weights_need_an_inverse():
    with pytest.raises(ConfigError, match="raise it"):
        ease_weights_("linear", np.full((2, 2), 1e30), 1.0)
