"""GPFedRec by hand: neighbours, a table for each client, the pull towards it, and the code's inverted similarity."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.training.rules.base import LocalWork
from fedrec.training.task import CohortTask
from server.asking import ask
from server.base import MeanStrategy, to_record
from server.strategies.gpfedrec import GPFedRec, GuidedItems, neighbours
from tests.handmade import context, plan, train_each_as_alone
from tests.tiny import reply, strategy_context

HALF = np.sqrt(0.5)
TABLES = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
MODEL: dict[str, Any] = {
    "model": {"name": "matrix_factorization", "width": 3, "options": {"bias": False}},
    "adapter": {"name": "full"},
}
BEFORE = {"w": np.zeros(2, np.float32)}


def test_neighbours_are_those_that_are_more_alike_than_the_mean_of_all_pairs() -> None:
    # cosines: 0 and 1 are alike (1), 2 stands apart (0), 3 is opposite to 0 and 1 (-1); itself 1; mean 2 / 16
    found = neighbours(TABLES, 1.0, inverted=False)
    assert found.tolist() == [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_the_authors_code_joins_the_most_unlike() -> None:
    # distances 1 - cosine: 0 within the pair, 1 to client 2, 2 to client 3; their mean is 1 - 1/8
    found = neighbours(TABLES, 1.0, inverted=True)
    third = 1 / 3
    assert found[0].tolist() == found[1].tolist() == [0, 0, 0.5, 0.5]
    np.testing.assert_allclose(found[2], [third, third, 0, third])
    np.testing.assert_allclose(found[3], [third, third, third, 0])


def test_who_is_like_nobody_has_its_own_table() -> None:
    assert neighbours(np.zeros((2, 3)), 1.0, inverted=False).tolist() == [[1, 0], [0, 1]]
    assert neighbours(np.ones((1, 3)), 1.0, inverted=False).tolist() == [[1]]
    assert neighbours(TABLES, 99.0, inverted=False).tolist() == np.eye(4).tolist()


def played(strategy: GPFedRec, number: int, tables: Any) -> dict[int, Any]:
    """Play a round whose clients end at the tables; return what each was sent beside the adapter."""
    messages = ask(strategy, number, to_record(strategy.current or BEFORE), ConfigRecord({"run": "here"}), None)
    arrays, _ = strategy.aggregate_train(number, [reply(client, *table) for client, table in enumerate(tables)])
    strategy.current = {name: array.numpy() for name, array in arrays.items()}
    sent = {m.metadata.dst_node_id: m.content.array_records["extras"]["w"].numpy().tolist() for m in messages}
    assert [m.content.config_records["config"]["rule-pull"] for m in messages] == [1.0] * 4
    return sent


def test_each_client_is_sent_the_mean_of_its_neighbours_and_all_begin_with_the_mean_of_these() -> None:
    strategy, again = GPFedRec(strategy_context()), GPFedRec(strategy_context())
    assert played(strategy, 1, TABLES) == {client: [0.0, 0.0] for client in range(4)}
    # 0 and 1 get (1 + 2) / 2 = 1.5; the mean of (1.5, 0), (1.5, 0), (0, 1), (-3, 0) is (0, .25)
    assert strategy.current["w"].tolist() == [0.0, 0.25]
    again.restore(strategy.state())
    again.current = strategy.current
    for one in (strategy, again):
        assert played(one, 2, TABLES) == {0: [1.5, 0.0], 1: [1.5, 0.0], 2: [0.0, 1.0], 3: [-3.0, 0.0]}
    # client 3 did not answer in the third round: in the fourth it is told what all begin with
    played(strategy, 3, TABLES[:3])
    assert played(strategy, 4, TABLES)[3] == pytest.approx([1.0, 1 / 3])


def test_a_client_is_pulled_towards_its_own_table() -> None:
    rule = GuidedItems(LocalWork(steps=1, lr=0.5, optimizer="sgd"), item_factor=4.0, pull=3.0)
    own, where = {"w": torch.tensor([1.0, 0.0])}, {"w": torch.tensor([[2.0, 0.5]])}
    state = rule.init(where, own, {})
    turned = rule.direction({"w": torch.tensor([[0.1, 0.2]])}, where, state)["w"]
    # 4 * (g + 2 * 3 * (w - own) / 2): 4 * (0.1 + 3 * 1) and 4 * (0.2 + 3 * 0.5)
    torch.testing.assert_close(turned, torch.tensor([[12.4, 6.8]]))
    assert rule.personal({"w": torch.zeros(1, 2)}, rule.final({}, where, state)[1])["w"].tolist() == [[2.0, 0.5]]


@pytest.mark.parametrize("privacy", [plan(), plan("local", noise=1.5, clip=0.5)])
def test_clients_of_one_content_move_as_each_alone(privacy) -> None:
    made = context(clients=([0], [2], [3]), privacy=privacy, training={"steps": 3, "lr": 0.1}, **MODEL)
    own = {name: value + 0.1 for name, value in made.shared_start.items()}
    pulled = CohortTask([0, 1, 2], 1, dict(made.shared_start), rule=GPFedRec.rule, options={"pull": 50.0}, extras=own)
    kept = train_each_as_alone(made, pulled).kept["item_factor.weight"]
    free = train_each_as_alone(made, replace(pulled, options={"pull": 0.0})).kept["item_factor.weight"]
    nearer = (kept - own["item_factor.weight"]).norm() < (free - own["item_factor.weight"]).norm()
    assert nearer


def test_an_option_that_is_no_truth_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"strategy\.options\.inverted = 'no'"):
        GPFedRec(strategy_context(), inverted="no")


def test_clients_of_an_average_are_told_the_same() -> None:
    with pytest.raises(PrivacyError, match="overrides own_extras"):

        class Whisper(MeanStrategy):
            def own_extras(self, client):
                return {"w": np.zeros(client)}
