"""CoLR by hand and by autograd: clients train A alone, and A is what travels."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import TransformConfig
from fedrec.training.rules.base import LocalWork
from fedrec.training.task import CohortTask
from fedrec.transforms.base import Sender
from fedrec.transforms.colr import CoLR as Encoder
from fedrec.transforms.colr import basis
from fedrec.transforms.pipeline import Transforms
from server.strategies.build import check_strategy
from server.strategies.colr import CoLR, LowRankTables
from tests.handmade import context, plan, train_each_as_alone
from tests.tiny import strategy_context, tiny

ROWS, COLUMNS, RANK = 9, 5, 2
WORK = LocalWork(steps=4, lr=0.1, optimizer="sgd", round=3, seed=7)
SENDER = Sender(client=1, round=3, seed=7)
MODEL: dict[str, Any] = {"model": {"name": "matrix_factorization"}, "adapter": {"name": "full", "private": ()}}


def test_a_basis_is_orthonormal_another_in_each_round_and_begins_as_one_of_lower_rank() -> None:
    drawn = basis(7, 3, COLUMNS, RANK)
    np.testing.assert_allclose(drawn @ drawn.T, np.eye(RANK), atol=1e-12)
    np.testing.assert_array_equal(drawn, basis(7, 3, COLUMNS, RANK))
    np.testing.assert_allclose(np.abs(basis(7, 3, COLUMNS, RANK + 1)[:RANK]), np.abs(drawn), atol=1e-12)
    assert np.abs(drawn - basis(7, 4, COLUMNS, RANK)).max() > 0.01
    assert np.abs(drawn - basis(8, 3, COLUMNS, RANK)).max() > 0.01


def test_steps_of_a_table_are_those_of_a_alone_by_autograd() -> None:
    # the authors' step: B is sqrt(c / r) times an orthonormal one, the gradient of A sqrt(r / c) times its own
    start, aim = (torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2))
    length = math.sqrt(COLUMNS / RANK)
    scaled, a = length * torch.from_numpy(basis(7, 3, COLUMNS, RANK)), torch.zeros(ROWS, RANK, dtype=torch.float64)
    rule = LowRankTables(WORK, rank=RANK)
    bias = torch.ones(1, ROWS, 1, dtype=torch.float64)
    state = rule.init({"table": start[None], "bias": bias}, {}, {})
    table = start[None]
    for _ in range(WORK.steps):
        a.requires_grad_()
        loss = ((start + a @ scaled - aim) ** 4).sum()
        a = (a - WORK.lr * 0.01 * torch.autograd.grad(loss, a)[0] / length).detach()
        gradient = {"table": 0.01 * 4 * (table - aim) ** 3, "bias": bias}
        turned = rule.direction(gradient, {"table": table}, state)
        assert torch.equal(turned["bias"], bias)
        table = table - WORK.lr * turned["table"]
    torch.testing.assert_close(table[0], start + a @ scaled)


@pytest.mark.parametrize("privacy", [plan(), plan("central", noise=1.0, clip=0.5), plan("local", noise=1.5, clip=0.5)])
def test_clients_stay_in_the_basis_whoever_else_is_trained_with_them(privacy) -> None:
    model = {**MODEL, "model": {**MODEL["model"], "width": COLUMNS}}
    made = context(clients=([0], [2], [3]), privacy=privacy, training={"steps": 3, "lr": 0.1}, **model)
    asked = CohortTask([0, 1, 2], 3, dict(made.shared_start), rule=CoLR.rule, options={"rank": RANK})
    found = train_each_as_alone(made, asked).parameters["item_factor.weight"] - made.start["item_factor.weight"]
    rows = torch.from_numpy(basis(made.experiment.seed, 3, COLUMNS, RANK))
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found @ rows.T @ rows, found)


def test_what_was_trained_in_the_basis_comes_back_whole_and_costs_the_rank() -> None:
    change = np.random.default_rng(0).normal(size=(ROWS, RANK)) @ basis(7, 3, COLUMNS, RANK)
    changes = {"table": change.astype(np.float32), "bias": np.ones((ROWS, 1), np.float32), "w": np.ones(3, np.float32)}
    sent = Encoder(RANK).encode(changes, SENDER)
    # A has 9 x 2 numbers in place of 9 x 5, and the draw of its basis is three: seed, round, columns
    assert {name: value.shape for name, value in sent.items()} == {
        "low/table": (ROWS, RANK),
        "draw/table": (3,),
        "whole/bias": (ROWS, 1),
        "whole/w": (3,),
    }
    found = Encoder(RANK).decode(sent)
    for name, value in changes.items():
        np.testing.assert_allclose(found[name], value, atol=1e-6)
        assert found[name].dtype == np.float32


def test_any_other_change_is_projected_so_that_the_mean_of_many_is_that_of_their_a() -> None:
    changes = [np.random.default_rng(s).normal(size=(ROWS, COLUMNS)).astype(np.float32) for s in range(3)]
    sent = [Encoder(RANK).encode({"table": one}, Sender(client, 3, seed=7)) for client, one in enumerate(changes)]
    found = [Encoder(RANK).decode(one)["table"] for one in sent]
    rows = basis(7, 3, COLUMNS, RANK)
    np.testing.assert_allclose(found[0], changes[0] @ rows.T @ rows, atol=1e-6)
    mean = np.mean([one["low/table"] for one in sent], axis=0)
    np.testing.assert_allclose(np.mean(found, axis=0), mean @ rows, atol=1e-6)


@pytest.mark.parametrize("columns", [RANK, ROWS, 10**12])
def test_what_would_be_larger_than_a_table_is_unreadable(columns: int) -> None:
    sent = Encoder(RANK).encode({"table": np.ones((ROWS, COLUMNS), np.float32)}, SENDER)
    with pytest.raises(ValueError, match=f"for {columns} columns, which is no table of rank 2"):
        Encoder(RANK).decode({**sent, "draw/table": np.array([7, 3, columns])})


def test_with_nothing_but_small_arrays_nothing_is_encoded_and_no_option_is_taken_on_trust() -> None:
    transforms = Transforms((TransformConfig(name="colr"),), seed=1, clients=2)
    transforms.check({"w": np.zeros(3, np.float32), "square": np.zeros((6, 6), np.float32)})
    for rank in (0, 1.5, True):
        with pytest.raises(ConfigError, match="should be a whole number from 1"):
            _ = Transforms((TransformConfig(name="colr", options={"rank": rank}),)).steps
        with pytest.raises(ConfigError, match=r"strategy\.options\.rank"):
            CoLR(strategy_context(), rank=rank)
    with pytest.raises(ConfigError, match=r"training\.optimizer=adam; set sgd"):
        check_strategy(tiny(**MODEL, strategy={"name": "colr"}, training={"optimizer": "adam"}))
