"""Asking all clients for one vector before the first round, and adding up what they answer, in the clients' order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from fedrec.core.errors import FederationError
from fedrec.run.directory import RunDirectory
from server.aggregation.replies import Rejection, failed, in_words, not_finite
from server.message_size import Sent, answered, asked_bytes

Vector = NDArray[np.float64]

AT_ONCE = 2_000_000
"""Numbers that are asked for together, so that not all clients' vectors lie in memory: one client's at least."""


@dataclass
class Poll:
    """What asking all clients gave.

    Attributes:
        total: The sum of their vectors, `[size]`.
        rejections: Who could not answer, and why.
        sent: What the clients sent.
        download_bytes: Of all questions.
    """

    total: Vector
    rejections: list[Rejection] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)
    download_bytes: int = 0


def poll(run: RunDirectory, grid: Grid, name: str, size: int, bounded: Callable[[NDArray[np.float32]], Vector]) -> Poll:
    """Return the sum of all clients' vectors, and who has none.

    Args:
        run: The run.
        grid: Whose nodes are the clients.
        name: Of the question, and of the array that answers it (see `clients.app`).
        size: Length of the vector.
        bounded: What of a client's vector is added.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
    """
    federation, label = run.experiment.federation, name.replace("_", " ")
    found, clients = Poll(np.zeros(size)), sorted(grid.get_node_ids())
    at_once = max(1, AT_ONCE // size)
    for first in range(0, len(clients), at_once):
        asked = clients[first : first + at_once]
        questions = list(_questions(run, name, label, asked))
        found.download_bytes += asked_bytes(questions)
        replies = list(grid.send_and_receive(questions, timeout=federation.timeout))
        found.sent += answered(replies)
        by_client = {reply.metadata.src_node_id: reply for reply in replies}
        for client in asked:
            vector = _read(client, by_client.get(client), name, size)
            if isinstance(vector, Rejection):
                found.rejections.append(vector)
            else:
                found.total += bounded(vector)
    if len(clients) - len(found.rejections) < federation.min_replies:
        message = (
            f"{label}: {len(clients) - len(found.rejections)} usable replies of {len(clients)}, "
            f"federation.min_replies={federation.min_replies}; {in_words(found.rejections)}"
        )
        raise FederationError(message)
    return found


def _questions(run: RunDirectory, name: str, label: str, clients: Iterable[int]) -> Iterator[Message]:
    content = RecordDict({"config": ConfigRecord({"run": str(run.path)})})
    return (Message(content, client, f"{MessageType.QUERY}.{name}", group_id=label) for client in clients)


def _read(client: int, reply: Message | None, name: str, size: int) -> NDArray[np.float32] | Rejection:
    if reply is None:
        return Rejection(client, "no reply", "nothing came within federation.timeout")
    if reply.has_error():
        return failed(client, reply.error.reason or "no reason given")
    try:
        found = reply.content.array_records["arrays"][name].numpy()
    except Exception as error:  # noqa: BLE001 - what broken bytes raise when they are decoded has no bounds
        return Rejection(client, "unreadable", f"reply lacks {name}, or cannot be decoded: {error!r}")
    if found.shape != (size,):
        return Rejection(client, "wrong shape", f"{name} is {list(found.shape)}, asked for [{size}]")
    return found if np.isfinite(found).all() else not_finite(client, [name])
