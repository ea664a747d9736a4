"""NeuMF by its own formula, a stranger's vectors as least squares on slopes, and clients that move as each alone."""

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.models.factorization.neural_cf import NeuralCF
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.training.task import CohortTask
from tests.handmade import context, experiment, plan, train_each_as_alone

ITEMS, WIDTH = 5, 4
HISTORY = torch.tensor([[0, 2, 1]])
CHOSEN = {"model": {"name": "neural_cf", "width": WIDTH, "layers": 2}, "adapter": {"name": "full"}}


def model(**options: float) -> NeuralCF:
    section = {**CHOSEN["model"], "options": options}
    made = build_model(experiment(model=section), ModelInputs(ITEMS, 2)).double()
    assert isinstance(made, NeuralCF)
    with torch.no_grad():
        made.of_item.bias.copy_(torch.tensor([0.3, -0.2, 0.1, 0.4]))
    return made


def expected_score(made: NeuralCF, user: torch.Tensor, item: int) -> torch.Tensor:
    """Return He et al.'s equation 12: a layer on both vectors side by side, one of half the width, and the mix."""
    vector = made.item_factor.weight[item]
    first = torch.cat((made.of_user.weight, made.of_item.weight), dim=1)
    hidden = torch.relu(first @ torch.cat((user[WIDTH:], vector[WIDTH:])) + made.of_item.bias)
    hidden = torch.relu(made.hidden[0](hidden))
    assert hidden.shape == (WIDTH // 2,)
    return made.output(torch.cat((user[:WIDTH] * vector[:WIDTH], hidden)))[0]


def test_a_score_mixes_the_product_and_the_perceptron() -> None:
    made = model()
    batch = {"history": HISTORY, "user": torch.tensor([1]), "length": torch.tensor([3])}
    scores = torch.stack([expected_score(made, made.user_factor.weight[1], item) for item in range(ITEMS)])
    torch.testing.assert_close(made.score(batch)[0], scores)
    torch.testing.assert_close(made(batch)[0, 2], scores)


def test_slopes_are_the_gradients_at_a_user_of_zeros() -> None:
    made, nobody = model(), torch.zeros(2 * WIDTH, dtype=torch.float64, requires_grad=True)
    for item, slope in enumerate(made._slopes()):
        torch.testing.assert_close(slope, torch.autograd.grad(expected_score(made, nobody, item), nobody)[0])
    assert made._slopes()[:, WIDTH:].abs().sum() > 0


def test_a_user_that_nobody_trained_on_has_the_vectors_that_explain_its_history_so_far() -> None:
    made = model(ridge=0.5, others=0.1)
    every = made._slopes().detach().numpy()
    for seen in (1, 2, 3):
        own = every[HISTORY[0, :seen].numpy()]
        gram = own.T @ own + 0.1 * every.T @ every + 0.5 * np.eye(2 * WIDTH)
        user = torch.from_numpy(np.linalg.solve(gram, own.sum(axis=0)))
        scores = torch.stack([expected_score(made, user, item) for item in range(ITEMS)])
        torch.testing.assert_close(made({"history": HISTORY})[0, seen - 1], scores)
    torch.testing.assert_close(made.score({"history": HISTORY, "length": torch.tensor([3])})[0], scores)


@pytest.mark.parametrize("privacy", [plan(), plan("central", noise=1.0, clip=0.5), plan("local", noise=1.5, clip=0.5)])
def test_many_clients_at_once_move_as_each_alone(privacy) -> None:
    made = context(clients=([0], [2], [3]), privacy=privacy, training={"steps": 3, "lr": 0.1}, **CHOSEN)
    assert made.private_names == {"user_factor.weight"}
    train_each_as_alone(made, CohortTask([0, 1, 2], 1, dict(made.shared_start)))


def test_options_out_of_range_are_refused() -> None:
    for options in ({"ridge": 0.0}, {"others": -1.0}):
        with pytest.raises(ConfigError, match=r"model\.options"):
            model(**options)
