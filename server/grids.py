"""A grid whose nodes are the clients' numbers: any Flower grid made deterministic for any strategy.

Flower's node ids are random per run and replies come as they arrive. `ClientGrid` waits for all nodes, asks each
once which client it is, and from then on speaks of clients only, replies in their order.
"""

import time
from collections.abc import Iterable

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedrec.errors import FederationError

WAIT_SECONDS = 120.0
POLL_SECONDS = 0.2


class ClientGrid(Grid):
    """Wraps a grid.

    Args:
        grid: Any Flower grid.
        clients: Number of clients that must be connected.

    Raises:
        FederationError: If they do not connect within two minutes, or two nodes claim one client.
    """

    def __init__(self, grid: Grid, clients: int) -> None:
        self._grid = grid
        self._node_of = _map_clients(grid, _wait_for(grid, clients), clients)
        self._client_of = {node: client for client, node in self._node_of.items()}

    def set_run(self, run) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        """Set the run of the wrapped grid."""
        self._grid.set_run(run)

    @property
    def run(self):  # type: ignore[no-untyped-def] # noqa: ANN201
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
        return self._grid.push_messages([self._addressed(message) for message in messages])

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies so far, in the clients' order."""
        return self._in_order(self._grid.pull_messages(message_ids))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages to clients and return the replies, in the clients' order."""
        addressed = [self._addressed(message) for message in messages]
        return self._in_order(self._grid.send_and_receive(addressed, timeout=timeout)) if addressed else []

    def _addressed(self, message: Message) -> Message:
        message.metadata.dst_node_id = self._node_of[message.metadata.dst_node_id]
        return message

    def _in_order(self, replies: Iterable[Message]) -> list[Message]:
        known = [reply for reply in replies if reply.metadata.src_node_id in self._client_of]
        for reply in known:
            reply.metadata.__dict__["_src_node_id"] = self._client_of[reply.metadata.src_node_id]
        return sorted(known, key=lambda reply: reply.metadata.src_node_id)


def _wait_for(grid: Grid, clients: int) -> list[int]:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(nodes := list(grid.get_node_ids())) < clients:
        if time.monotonic() > deadline:
            message = f"{len(nodes)} of {clients} clients connected within {WAIT_SECONDS:.0f} s; start the missing ones"
            raise FederationError(message)
        time.sleep(POLL_SECONDS)
    return nodes


def _map_clients(grid: Grid, nodes: list[int], clients: int) -> dict[int, int]:
    questions = [Message(RecordDict(), node, MessageType.QUERY, group_id="who") for node in nodes]
    node_of: dict[int, int] = {}
    for reply in grid.send_and_receive(questions, timeout=WAIT_SECONDS):
        if reply.has_error():
            continue
        client = int(str(reply.content.metric_records["node"]["partition-id"]))
        if client in node_of:
            message = f"two nodes say that they are client {client}; give each its own partition-id"
            raise FederationError(message)
        node_of[client] = reply.metadata.src_node_id
    missing = sorted(set(range(clients)) - node_of.keys())
    if missing:
        message = f"clients {missing[:5]} of {clients} did not say who they are within {WAIT_SECONDS:.0f} s"
        raise FederationError(message)
    return node_of
