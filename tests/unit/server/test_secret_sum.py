"""The server's side of the wall: it is given one sum of integers, and refuses everything that is about one client."""

import ast
import dataclasses
import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord

import server
from fedrec.core.errors import FederationError, PrivacyError
from fedrec.privacy.secagg.terms import Vector
from server.aggregation.replies import Rejection, failed
from server.aggregation.secret_sum import SecretSum, SecretSumGrid, decoded, secret
from server.asking import ask
from server.base import STRATEGIES, MeanStrategy, averages, to_record
from server.strategies import STRATEGIES as ALL
from simulations.engine.inprocess import InProcessGrid
from tests.tiny import client_app, reply, strategy_context
from tests.unit.privacy.secagg.test_agreement import AGREED

SHAPE = {"b": np.zeros((2, 1), dtype=np.float32), "a": np.zeros(2, dtype=np.float32)}
STEP = AGREED.code(0, 1).grid.step


def strategy_of(kind=MeanStrategy, **how):
    told = strategy_context(expected_cohort=10.0, cohort=lambda number: list(range(10)), **how)
    return kind(replace(told, plan=replace(told.plan, trust="secure-aggregation", agreement=AGREED)))


def test_integers_become_real_by_name_and_negative_ones_are_in_the_upper_half():
    opened = SecretSum(np.array([1, 2**32 - 2, 3, 0], dtype="<u4"), (0, 4), [failed(2, "no rows")])
    total = decoded(opened, SHAPE, AGREED, 1)
    assert total.sums["a"].tolist() == [STEP, -2 * STEP]
    assert total.sums["b"].tolist() == [[3 * STEP], [0.0]]
    assert (total.weight, total.accepted) == (2.0, (0, 4))
    assert [bad.client for bad in total.rejections] == [2]


def test_a_sum_of_another_length_is_refused():
    with pytest.raises(FederationError, match="a sum of 3 numbers was opened, but the adapter has 4"):
        decoded(SecretSum(np.zeros(3, "<u4"), (0, 1)), SHAPE, AGREED, 1)


def test_a_strategy_divides_by_the_expected_cohort_whoever_is_left_and_adds_nothing():
    strategy = strategy_of()
    ask(strategy, 1, to_record(SHAPE), ConfigRecord(), None)
    opened = SecretSum(np.array([20, 2**32 - 30, 0, 0], dtype="<u4"), tuple(range(8)))
    after = strategy.aggregate_secret(1, opened, AGREED)
    np.testing.assert_allclose(after["a"].numpy(), [2 * STEP, -3 * STEP], rtol=1e-6)
    assert strategy.report.accepted == 8
    assert [(bad.client, bad.reason) for bad in strategy.report.rejections] == [(8, "no reply"), (9, "no reply")]


def test_a_sum_that_was_opened_counts_whoever_is_in_it():
    # the protocol's own threshold says how few are too few
    strategy = strategy_of(min_replies=9)
    ask(strategy, 1, to_record(SHAPE), ConfigRecord(), None)
    strategy.aggregate_secret(1, SecretSum(np.zeros(4, "<u4"), tuple(range(8))), AGREED)
    assert strategy.report.accepted == 8


@pytest.mark.parametrize("name", [name for name in ALL.names() if averages(ALL.get(name))])
def test_no_strategy_looks_at_a_clients_answer(name):
    strategy = strategy_of(STRATEGIES.get(name))
    ask(strategy, 1, to_record({"w": np.zeros(2, np.float32)}), ConfigRecord(), None)
    with pytest.raises(PrivacyError, match="given sums alone"):
        strategy.aggregate_train(1, [reply(0, 1.0, 2.0)])
    with pytest.raises(PrivacyError, match="given sums alone"):
        _ = strategy.aggregator


def test_a_grid_that_hands_over_answers_is_refused_and_says_what_to_choose():
    with pytest.raises(PrivacyError, match="a InProcessGrid hands it each one; choose the engine inprocess or ray"):
        secret(InProcessGrid(client_app(), 4))


def test_what_comes_back_has_room_for_one_vector():
    assert typing.get_type_hints(SecretSumGrid.send_and_open)["return"] is SecretSum
    kinds = [typing.get_type_hints(SecretSum)[field.name] for field in dataclasses.fields(SecretSum)]
    assert kinds[0] == Vector
    assert {typing.get_args(kind)[0] for kind in kinds[1:]} == {int, Rejection}


def test_the_server_imports_no_clients_half_of_the_protocol():
    imported = {
        node.module or ""
        for file in Path(server.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    }
    assert {name for name in imported if "secagg" in name} <= {
        "fedrec.privacy.secagg.agreement",
        "fedrec.privacy.secagg.terms",
    }
    assert not {name for name in imported if name.startswith(("clients", "simulations"))}
