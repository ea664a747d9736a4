"""`ClientGrid` over a grid of another's making: random node ids, replies in any order, late or never."""

from threading import Event

import pytest
from flwr.app import Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedrec.core.errors import FederationError
from server import grids
from server.grids import GRACE_SECONDS, ClientGrid
from simulations.engine.inprocess import InProcessGrid

NO_ROWS = "no rows"

NODES = {700: 1, 3: 2, 41: 0}
"""Node -> the client that it says it is."""


class StrangeGrid(InProcessGrid):
    """Nodes that turn up late, in an order of their own, and of which some stay silent."""

    def __init__(self, says=NODES, silent=(), failing=(), late=0):
        app = ClientApp()

        @app.query()
        def who(message: Message, context: Context) -> Message:
            client = says[context.node_id]
            return Message(RecordDict({"node": MetricRecord({"partition-id": client})}), reply_to=message)

        @app.train()
        def work(message: Message, context: Context) -> Message:
            if context.node_id in failing:
                return Message(Error(0, "broken"), reply_to=message)
            return Message(RecordDict(), reply_to=message)

        super().__init__(app, len(says))
        self.says, self.silent, self.late = says, silent, late
        self.lives = []

    def get_node_ids(self):
        self.late -= 1
        return [] if self.late >= 0 else list(self.says)

    def push_messages(self, messages):
        messages = list(messages)
        self.lives += [message.metadata.ttl for message in messages]
        heard = (message for message in messages if message.metadata.dst_node_id not in self.silent)
        return [*super().push_messages(heard), "lost"]

    def pull_messages(self, message_ids):
        return reversed(super().pull_messages(sorted(message_ids)))


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(grids, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(grids, "WAIT_SECONDS", 0.05)


def asked(grid, clients, timeout=0.02):
    messages = [Message(RecordDict(), client, "train") for client in clients]
    return [(r.metadata.src_node_id, r.has_error()) for r in grid.send_and_receive(messages, timeout=timeout)]


def test_nodes_are_known_by_their_clients_numbers_and_replies_come_in_their_order():
    grid = ClientGrid(StrangeGrid(late=3), 3)
    assert grid.get_node_ids() == [0, 1, 2]
    assert asked(grid, [2, 0, 1]) == [(0, False), (1, False), (2, False)]


def test_asking_nobody_is_answered_at_once():
    assert asked(ClientGrid(StrangeGrid(), 3), [], timeout=None) == []


def test_a_failing_client_answers_and_a_silent_one_is_not_waited_for_beyond_the_timeout():
    inner = StrangeGrid(failing=[700])
    grid = ClientGrid(inner, 3)
    inner.silent = [3]
    assert asked(grid, [0, 1, 2]) == [(0, False), (1, True)]


def test_a_message_lives_a_little_longer_than_it_is_waited_for():
    inner = StrangeGrid()
    grid = ClientGrid(inner, 3)
    inner.lives.clear()
    asked(grid, [0], timeout=0.25)
    assert inner.lives == [0.25 + GRACE_SECONDS]


def test_clients_that_never_connect_are_counted():
    with pytest.raises(
        FederationError, match=r"3 of 4 clients connected within 0 s; start the missing ones .*num-supernodes=4"
    ):
        ClientGrid(StrangeGrid(), 4)


def test_two_nodes_of_one_client_are_refused():
    with pytest.raises(FederationError, match="two nodes say that they are client 1"):
        ClientGrid(StrangeGrid({700: 1, 3: 1}), 2)


def test_a_node_that_does_not_say_who_it_is_is_missed():
    with pytest.raises(FederationError, match=r"clients \[2\] of 3 did not say who they are"):
        ClientGrid(StrangeGrid(silent=[3]), 3)


def test_surplus_nodes_are_left_alone():
    assert ClientGrid(StrangeGrid({**NODES, 9: 17}), 3).get_node_ids() == [0, 1, 2]


def test_nobody_waits_for_an_engine_that_has_ended():
    inner, gone = StrangeGrid(), Event()
    grid = ClientGrid(inner, 3, gone)
    inner.silent = [41]
    gone.set()
    with pytest.raises(FederationError, match="the engine ended while clients were at work"):
        asked(grid, [0], timeout=60)


def test_in_process_a_client_that_raises_answers_with_its_error():
    app = ClientApp()

    @app.train()
    def work(message: Message, context: Context) -> Message:
        raise ValueError(NO_ROWS)

    grid = InProcessGrid(app, 2)
    (reply,) = grid.send_and_receive([Message(RecordDict(), 1, "train")])
    assert (reply.metadata.src_node_id, reply.error.reason) == (1, "ValueError: no rows")
    assert grid.pull_messages([reply.metadata.reply_to_message_id]) == []


def test_in_process_each_client_keeps_its_own_context():
    app = ClientApp()

    @app.train()
    def work(message: Message, context: Context) -> Message:
        record = context.state.metric_records.setdefault("seen", MetricRecord({"times": 0}))
        record["times"] += 1
        answer = {"partition": context.node_config["partition-id"], "times": record["times"]}
        return Message(RecordDict({"said": MetricRecord(answer)}), reply_to=message)

    grid = InProcessGrid(app, 3)
    for times in (1, 2):
        replies = grid.send_and_receive([Message(RecordDict(), client, "train") for client in (2, 0)])
        assert [dict(r.content.metric_records["said"]) for r in replies] == [
            {"partition": 2, "times": times},
            {"partition": 0, "times": times},
        ]
