"""The linear branch: counts that add up, weights in closed form, a history that decays, by hand."""

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.evaluation.linear_branch import GAINS, with_linear_branch
from fedrec.experiment.config import LinearConfig
from fedrec.experiment.rules import RULES
from fedrec.models.linear.branch import GAIN, WEIGHTS, with_branch
from fedrec.models.linear.item_item import ease_weights_, pair_counts
from fedrec.training.pair_counts import client_pair_counts, square, triangle_size
from tests.handmade import CLIENTS, NUM_ITEMS, context, experiment, interactions, queries


def test_pairs_are_counted_once_a_user_and_the_diagonal_counts_users():
    # user 1 has items 2, 4 and 6, item 4 twice; user 0 has item 2, too
    counts = pair_counts(interactions())
    assert counts[4, 2] == counts[2, 4] == counts[4, 4] == 1
    assert counts[2, 2] == 2


def test_clients_counts_add_up_to_those_of_all_data_exactly():
    made = context()
    total = np.sum([client_pair_counts(made, client) for client in range(len(CLIENTS))], axis=0, dtype=np.float64)
    assert total.shape == (triangle_size(NUM_ITEMS),) == (28,)
    np.testing.assert_array_equal(square(total, NUM_ITEMS), pair_counts(interactions()))


def test_a_score_is_the_models_plus_gain_times_the_branch():
    weights = np.array([[0.0, 2.0], [1.0, 0.0]], dtype=np.float32)
    branch = {WEIGHTS: torch.from_numpy(weights), GAIN: torch.tensor(10.0)}
    score = with_branch(lambda asked: np.array([[5.0, 7.0]], dtype=np.float32), branch, decay=1.0)
    # history 0, 1: item 0 is worth exp(-1); 5 + 10 * 1 * 1 and 7 + 10 * exp(-1) * 2
    np.testing.assert_allclose(score(queries([[0, 1]])), [[15, 7 + 20 * np.exp(-1)]], rtol=1e-6)


def test_validation_users_pick_the_gain_and_the_parameters_stay():
    own, counts = {"w": torch.ones(2)}, pair_counts(interactions())
    seen = []

    def third(tried):
        seen.extend(tried)
        return 3

    found, gain = with_linear_branch(own, counts.copy(), LinearConfig(l2=2.0), third)
    assert gain == found[GAIN].item() == GAINS[3]
    assert [each[GAIN].item() for each in seen] == list(GAINS)
    assert found["w"] is own["w"]
    np.testing.assert_allclose(found[WEIGHTS], ease_weights_("linear", counts, 2.0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("epsilon", "on", "broken"), [(8.0, True, True), (8.0, False, False), ("inf", True, False)])
def test_under_privacy_exact_counts_of_pairs_are_refused(epsilon, on, broken):
    wanted = experiment(linear={"on": on}, privacy={"epsilon": float(epsilon)})
    said = [rule.broken(wanted) for rule in RULES]
    assert any("linear.on = true" in each for each in said) == broken


def test_all_windows_are_of_sequences_alone():
    said = [rule.broken(experiment(training={"windows": "all", "example": "prefix"})) for rule in RULES]
    assert any("training.windows = 'all'" in each for each in said)


def test_weights_need_an_inverse():
    with pytest.raises(ConfigError, match="raise it"):
        ease_weights_("linear", np.full((2, 2), 1e30), 1.0)
