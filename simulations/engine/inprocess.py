"""A Flower Grid in this process, which calls a ClientApp directly, one client at a time. No server process, no network.

A message carries the identity that Flower's runtime would have set. Work in this process cannot be cut short: a
client that hangs holds the run, and `federation.timeout` has no effect.
"""

from collections.abc import Iterable
from uuid import uuid4

from flwr.app import Context, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from simulations.engine.answering import answer

RUN_ID = 1


class InProcessGrid(Grid):
    """Clients in this process, asked one after the other.

    Args:
        app: The ClientApp.
        clients: Number of clients; node ids are `0..clients - 1`.
    """

    def __init__(self, app: ClientApp, clients: int) -> None:
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = RUN_ID, 1, SUPERLINK_NODE_ID
        self._app = app
        self._clients = clients
        self._contexts: dict[int, Context] = {}
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Run) -> None:
        """There is one run only."""

    @property
    def run(self) -> Run:
        """No SuperLink knows of this run."""
        message = "the in-process grid has no Run record; use message.metadata.run_id"
        raise AttributeError(message)

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Return a message to a client."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the clients' numbers."""
        return range(self._clients)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Do the work of each message at once; replies wait to be pulled."""
        sent = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = name = uuid4().hex
            reply = answer(self._app, message, self._context(message.metadata.dst_node_id))
            reply.metadata.__dict__["_message_id"] = uuid4().hex
            self._replies[name] = reply
            sent.append(name)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies to these messages, each once."""
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Return the replies in the order of the messages; work in this process is never cut short."""
        del timeout
        return self.pull_messages(self.push_messages(messages))

    def _context(self, client: int) -> Context:
        """Return the client's own context: Flower keeps one a node for the whole run."""
        if client not in self._contexts:
            config: UserConfig = {"partition-id": client, "num-partitions": self._clients}
            self._contexts[client] = Context(RUN_ID, client, config, RecordDict(), {})
        return self._contexts[client]
