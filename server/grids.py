"""What the server asks of a grid beyond Flower's own interface.

A `SummingGrid` can add up what its clients answer where they answer it.

`ClientGrid` has nodes that are the clients' numbers: any Flower grid made deterministic for any strategy.

Flower's node ids are random per run and replies come as they arrive. `ClientGrid` waits for all nodes, asks each
once which client it is, and from then on speaks of clients only, replies in their order.
"""

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from threading import Event

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from fedrec.core.errors import FederationError
from server.aggregation.update_sum import SumAggregator, UpdateSum

WAIT_SECONDS = 120.0
Pull = Callable[[Iterable[str]], Iterable[Message]]

POLL_SECONDS = 0.1
GRACE_SECONDS = 2.0
"""A message outlives the wait for its reply by this much, so that it is never swept away while it is asked for."""


class SummingGrid(Grid):
    """A grid whose workers add up their clients' changes: one total comes back instead of an answer a client."""

    @abstractmethod
    def send_and_sum(
        self,
        messages: Sequence[Message],
        aggregator: SumAggregator,
        *,
        timeout: float | None = None,
    ) -> UpdateSum:
        """Send messages to clients and return what their changes of the adapter in the messages add up to.

        Clients that do not answer within `timeout` seconds are neither accepted nor rejected.
        """


class ClientGrid(Grid):
    """Wraps a grid.

    Args:
        grid: Any Flower grid.
        clients: Number of clients that must be connected.
        gone: Set when whatever carries the grid has ended, so that nobody waits for replies that cannot come.

    Raises:
        FederationError: If they do not connect within two minutes, or two nodes claim one client.
    """

    def __init__(self, grid: Grid, clients: int, gone: Event | None = None) -> None:
        self._grid = grid
        self._gone = gone or Event()
        self._node_of = self._who_is_who(self._connected(clients), clients)
        self._client_of = {node: client for client, node in self._node_of.items()}

    def set_run(self, run: Run) -> None:
        """Set the run of the wrapped grid."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """The run of the wrapped grid."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message to a client."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the clients' numbers, ascending."""
        return sorted(self._node_of)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push messages addressed to clients."""
        messages = list(messages)
        for message in messages:
            message.metadata.dst_node_id = self._node_of[message.metadata.dst_node_id]
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies so far, in the clients' order."""
        known = [reply for reply in self._grid.pull_messages(message_ids) if _sender(reply) in self._client_of]
        for reply in known:
            reply.metadata.__dict__["_src_node_id"] = self._client_of[_sender(reply)]
        return sorted(known, key=_sender)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages to clients and return the replies that came within `timeout`, in the clients' order.

        Each message says by its time to live when nobody waits for it any more.

        Raises:
            FederationError: If the engine ends meanwhile.
        """
        messages = list(messages)
        for message in messages:
            message.metadata.ttl = message.metadata.ttl if timeout is None else timeout + GRACE_SECONDS
        replies = self._replies(self.push_messages(messages), timeout, self.pull_messages) if messages else []
        return sorted(replies, key=_sender)

    def _replies(self, sent: Iterable[str], timeout: float | None, pull: Pull) -> list[Message]:
        waiting, replies = set(sent), list[Message]()
        deadline = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            for reply in pull(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                replies.append(reply)
            if not waiting or time.monotonic() > deadline:
                return replies
            self._pause("while clients were at work")

    def _connected(self, clients: int) -> list[int]:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(nodes := list(self._grid.get_node_ids())) < clients:
            if time.monotonic() > deadline:
                message = (
                    f"{len(nodes)} of {clients} clients connected within {WAIT_SECONDS:.0f} s; start the missing ones "
                    f"(with `flwr run`: --federation-config num-supernodes={clients})"
                )
                raise FederationError(message)
            self._pause("before all clients had connected")
        return nodes

    def _who_is_who(self, nodes: list[int], clients: int) -> dict[int, int]:
        questions = [Message(RecordDict(), node, MessageType.QUERY, group_id="who") for node in nodes]
        node_of: dict[int, int] = {}
        for reply in self._replies(self._grid.push_messages(questions), WAIT_SECONDS, self._grid.pull_messages):
            if reply.has_error():
                continue
            client = int(str(reply.content.metric_records["node"]["partition-id"]))
            if client >= clients:
                continue
            if client in node_of:
                message = f"two nodes say that they are client {client}; give each its own partition-id"
                raise FederationError(message)
            node_of[client] = _sender(reply)
        if missing := sorted(set(range(clients)) - node_of.keys()):
            message = f"clients {missing[:5]} of {clients} did not say who they are within {WAIT_SECONDS:.0f} s"
            raise FederationError(message)
        return node_of

    def _pause(self, when: str) -> None:
        if self._gone.wait(POLL_SECONDS):
            message = f"the engine ended {when}"
            raise FederationError(message)


def _sender(message: Message) -> int:
    return message.metadata.src_node_id
