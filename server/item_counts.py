"""What is released before the first round: how many users have each item, with noise.

Everyone is asked once, and everyone pays (`PrivacyPlan.counts`): each client's vector is shortened to the clip norm,
the sum is noised. What becomes of it is post-processing (see `fedrec.evaluation.popularity`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from fedrec.core.errors import FederationError
from fedrec.core.seeding import rng_for
from fedrec.privacy.plan import ItemCounts
from fedrec.run.directory import RunDirectory
from fedrec.training.item_counts import Counts, shortened
from server.aggregation.replies import Rejection, failed, in_words, not_finite
from server.message_size import Sent, answered, asked_bytes

QUESTION = f"{MessageType.QUERY}.item_counts"

AT_ONCE = 1000
"""Clients asked together, so that not all their vectors lie in memory."""


@dataclass
class Poll:
    """What asking all clients for their counts gave.

    Attributes:
        counts: How many users have each item, `[num_items]`; with noise under privacy.
        rejections: Who could not answer, and why.
        sent: What the clients sent.
        download_bytes: Of all questions.
    """

    counts: Counts
    rejections: list[Rejection] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)
    download_bytes: int = 0


def item_counts(run: RunDirectory, grid: Grid, counts: ItemCounts) -> Poll:
    """Ask all clients, and return how many users have each item with noise, and who could not answer.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
    """
    poll = _asked(run, grid, counts)
    noise = rng_for(run.job.secret_seed, "item counts").normal(0.0, counts.deviation, poll.counts.shape)
    return replace(poll, counts=poll.counts + noise)


def _asked(run: RunDirectory, grid: Grid, counts: ItemCounts) -> Poll:
    """Return the sum of all clients' shortened counts, in the clients' order, and who has none."""
    federation, num_items = run.experiment.federation, run.job.prepared.train.num_items
    clip_norm = counts.clip_norm if run.experiment.privacy.on else float("inf")
    poll, clients = Poll(np.zeros(num_items)), sorted(grid.get_node_ids())
    for first in range(0, len(clients), AT_ONCE):
        asked = clients[first : first + AT_ONCE]
        questions = list(_questions(run, asked))
        poll.download_bytes += asked_bytes(questions)
        replies = list(grid.send_and_receive(questions, timeout=federation.timeout))
        poll.sent += answered(replies)
        by_client = {reply.metadata.src_node_id: reply for reply in replies}
        for client in asked:
            found = _read(client, by_client.get(client), num_items)
            if isinstance(found, Rejection):
                poll.rejections.append(found)
            else:
                poll.counts += shortened(found, clip_norm)
    if len(clients) - len(poll.rejections) < federation.min_replies:
        message = (
            f"item counts: {len(clients) - len(poll.rejections)} usable replies of {len(clients)}, "
            f"federation.min_replies={federation.min_replies}; {in_words(poll.rejections)}"
        )
        raise FederationError(message)
    return poll


def _questions(run: RunDirectory, clients: Iterable[int]) -> Iterator[Message]:
    content = RecordDict({"config": ConfigRecord({"run": str(run.path)})})
    return (Message(content, client, QUESTION, group_id="item counts") for client in clients)


def _read(client: int, reply: Message | None, num_items: int) -> NDArray[np.float32] | Rejection:
    if reply is None:
        return Rejection(client, "no reply", "nothing came within federation.timeout")
    if reply.has_error():
        return failed(client, reply.error.reason or "no reason given")
    try:
        found = reply.content.array_records["arrays"]["item_counts"].numpy()
    except Exception as error:  # noqa: BLE001 - what broken bytes raise when they are decoded has no bounds
        return Rejection(client, "unreadable", f"reply lacks item_counts, or cannot be decoded: {error!r}")
    if found.shape != (num_items,):
        return Rejection(client, "wrong shape", f"item_counts is {list(found.shape)}, asked for [{num_items}]")
    return found if np.isfinite(found).all() else not_finite(client, ["item_counts"])
