"""Matrix factorisation: factors by hand, a stranger's factors as least squares, and runs that read no text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.run.directory import RunDirectory
from simulations.options import RunOptions
from simulations.runner import run
from tests.handmade import batch, experiment
from tests.tiny import tiny

HISTORY = torch.tensor([[0, 2, 1]])
MF: dict[str, Any] = {
    "model": {"name": "matrix_factorization", "width": 4},
    "adapter": {"name": "full", "private": ()},
    "federation": {"partition": "users", "participation": 0.05},
    "privacy": {"epsilon": float("inf")},
    "training": {"lr": 0.5, "steps": 2},
}


def model(num_users: int = 1, **options: Any):
    wanted = experiment(model={"name": "matrix_factorization", "width": 2, "options": options})
    made = build_model(wanted, ModelInputs(3, num_users)).double()
    with torch.no_grad():
        made.item_factor.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
        made.item_bias.weight.copy_(torch.tensor([[0.5], [0.0], [-1.0]]))
        made.user_factor.weight.copy_(torch.tensor([[3.0, 1.0], [0.0, 1.0]])[:num_users])
    return made


def test_a_score_is_the_product_of_factors_plus_the_items_bias():
    # user 1 is (0, 1): items score 0 + 0.5, 2 + 0, 1 - 1; user 0 is (3, 1): 3 + 0.5, 2, 4 - 1
    made = model(num_users=2)
    both = {"history": torch.tensor([[0, 1], [0, 1]]), "user": torch.tensor([1, 0])}
    scores = made(both)
    assert scores.tolist() == [[[0.5, 2.0, 0.0]] * 2, [[3.5, 2.0, 3.0]] * 2]
    assert made(both, items=range(1, 3)).tolist() == [[[2.0, 0.0]] * 2, [[2.0, 3.0]] * 2]
    candidates, shared = torch.tensor([[2], [0]]), torch.tensor([1])
    assert made(both, candidates, shared).tolist() == [[[0.0, 2.0]] * 2, [[3.5, 2.0]] * 2]
    assert made.score({**both, "length": torch.tensor([2, 2])}).tolist() == [[0.5, 2.0, 0.0], [3.5, 2.0, 3.0]]


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_a_user_that_nobody_trained_on_gets_the_least_squares_of_its_history_so_far(feedback):
    made = model(feedback=feedback, ridge=0.5, others=0.1)
    value = torch.tensor([[1.0, -1.0, 0.5]])
    unknown = {"history": HISTORY, "value": value, "length": torch.tensor([3])}
    factors, bias = made.item_factor.weight.detach().numpy(), made.item_bias.weight.detach().numpy()[:, 0]
    for seen in (1, 2, 3):
        items = HISTORY[0, :seen].numpy()
        own = factors[items]
        gram, wanted = own.T @ own + 0.5 * np.eye(2), np.ones(seen)
        if feedback == "implicit":
            gram = gram + 0.1 * factors.T @ factors
        else:
            wanted = value[0, :seen].numpy() - bias[items]
        expected = factors @ np.linalg.solve(gram, own.T @ wanted) + bias
        np.testing.assert_allclose(made(unknown)[0, seen - 1].detach().numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(made.score(unknown)[0].detach().numpy(), expected, rtol=1e-9)


def test_options_out_of_range_are_refused():
    for options in ({"feedback": "both"}, {"ridge": 0}, {"others": -1}, {"ridges": 1}):
        with pytest.raises(ConfigError, match=r"model\.options"):
            model(**options)


def test_padding_of_a_known_user_changes_nothing():
    made = model()
    longer = torch.cat((HISTORY, torch.tensor([[0, 0]])), dim=1)
    assert torch.equal(made(batch(longer))[:, :3], made(batch(HISTORY)))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return run(tiny(**MF), RunOptions(out=tmp_path_factory.mktemp("mf") / "run", cache=cache), silent)


@pytest.mark.slow
def test_two_workers_end_with_the_bits_of_one_process(one: RunDirectory, tmp_path: Path, cache: Path) -> None:
    other = run(tiny(**MF), RunOptions(engine="ray", out=tmp_path / "ray", cache=cache, workers=2), silent)
    assert one.summary()["parameters_sha256"] == other.summary()["parameters_sha256"]


def test_factors_of_users_stay_on_their_clients_and_no_text_is_encoded(one: RunDirectory) -> None:
    context = one.job.training_context
    assert context.private_names == {"user_factor.weight"}
    assert set(context.shared_start) == {"item_factor.weight", "item_bias.weight"}
    assert not (one.private / "prepared" / "item_vectors.npy").exists()
    assert one.summary()["model"]["encoder_sha256"] is None
    assert one.summary()["adapter"]["private_parameters"] == 4
    assert (one.private / "clients" / "private.u1").exists()


def test_the_default_adapter_says_which_one_fits(tmp_path: Path, cache: Path) -> None:
    wanted = tiny(**{**MF, "adapter": {"name": "lora", "private": ()}})
    with pytest.raises(ConfigError, match=r"no linear module; choose adapter\.name = 'full'"):
        run(wanted, RunOptions(out=tmp_path / "run", cache=cache), silent)
