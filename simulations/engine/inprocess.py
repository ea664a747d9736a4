"""The in-process engine: our Flower Grid, which calls the ClientApp directly. No server process, no network.

A client that raises answers with an error message, as Flower's own runtime makes it; a message carries the
identity that Flower's runtime would have set.
"""

from collections.abc import Iterable
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from clients.app import app as client_app
from simulations.engine.base import ENGINES, ServerWork
from simulations.options import RunOptions

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

    def set_run(self, run) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        """There is one run only."""

    @property
    def run(self):  # type: ignore[no-untyped-def] # noqa: ANN201
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
            self._replies[name] = self._call(message)
            sent.append(name)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies to these messages, each once."""
        return [self._replies.pop(name) for name in message_ids if name in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Return the replies in the order of the messages; work in this process is never cut short."""
        del timeout
        return self.pull_messages(self.push_messages(messages))

    def _call(self, message: Message) -> Message:
        client = message.metadata.dst_node_id
        context = self._contexts.setdefault(client, _context(client, self._clients))
        try:
            reply = self._app(message, context)
        except Exception as error:  # noqa: BLE001 (whatever a client raises is its answer, as in Flower's runtime)
            failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{type(error).__name__}: {error}")
            reply = Message(failure, reply_to=message)
        reply.metadata.__dict__["_message_id"] = uuid4().hex
        return reply


def _context(client: int, clients: int) -> Context:
    return Context(
        run_id=RUN_ID,
        node_id=client,
        node_config={"partition-id": client, "num-partitions": clients},
        state=RecordDict(),
        run_config={},
    )


@ENGINES.register("inprocess")
def inprocess(work: ServerWork, clients: int, options: RunOptions) -> None:
    """Run the server's work and the clients' in this process."""
    del options
    work(InProcessGrid(client_app, clients))
