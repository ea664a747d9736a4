"""What is released before the first round: how many users have each item, which becomes the item bias at the start.

Everyone is asked once, and everyone pays (`PrivacyPlan.counts`): each client's vector is shortened to the clip norm,
the sum is noised. What follows is post-processing and choices of the validation users, who consented.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray
from torch import Tensor

from fedrec.errors import FederationError
from fedrec.evaluation.judge import RANKED, Judge
from fedrec.privacy.plan import ItemCounts
from fedrec.reporting.rundir import RunDirectory
from fedrec.seeding import rng_for
from fedrec.training.item_counts import Counts, popularity, shortened
from server.replies import Rejection, failed, in_words, not_finite

QUESTION = f"{MessageType.QUERY}.item_counts"

AT_ONCE = 1000
"""Clients asked together, so that not all their vectors lie in memory."""

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
"""Of popularity in an item's score, from which validation users choose; 0 leaves the base as it is."""


@dataclass(frozen=True, eq=False)
class Opening:
    """The adapter that training starts from, and what was found out on the way.

    Attributes:
        parameters: The global adapter.
        weight: The chosen weight of popularity.
        rejections: Clients whose counts could not be used.
    """

    parameters: dict[str, Tensor]
    weight: float
    rejections: tuple[Rejection, ...]


def opened(run: RunDirectory, grid: Grid, judge: Judge, counts: ItemCounts) -> Opening:
    """Ask all clients for their item counts and return where training starts.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
    """
    experiment, start = run.experiment, judge.bench.shared_start
    total, rejections = _asked(run, grid, counts)
    deviation = counts.release.noise_multiplier * counts.clip_norm
    noisy = total + rng_for(experiment.seed, "item counts").normal(0.0, deviation, total.shape)
    known = popularity(noisy, max(1.0, 2 * deviation)) / judge.bench.model.bias_scale
    bias = start["item_bias.weight"]
    best = start, 0.0
    best_score = -1.0
    for weight in WEIGHTS:
        added = torch.from_numpy(weight * known).to(bias.dtype).reshape(bias.shape)
        parameters = {**start, "item_bias.weight": bias + added}
        score = _liking(judge, parameters)
        if score > best_score:
            best, best_score = (parameters, weight), score
    return Opening(*best, tuple(rejections))


def _liking(judge: Judge, parameters: dict[str, Tensor]) -> float:
    """Return NDCG of the validation users; without any, weight 1 is as good a guess as any and 0 is the safe one."""
    evaluations = judge.validate(parameters)
    return float(np.mean([one.means[f"ndcg@{RANKED}"] for one in evaluations.values()])) if evaluations else 0.0


def _asked(run: RunDirectory, grid: Grid, counts: ItemCounts) -> tuple[Counts, list[Rejection]]:
    """Return the sum of all clients' shortened counts, in the clients' order, and who has none."""
    federation, num_items = run.experiment.federation, run.job.prepared.train.num_items
    clip_norm = counts.clip_norm if run.experiment.privacy.on else float("inf")
    total, rejections, clients = np.zeros(num_items), list[Rejection](), sorted(grid.get_node_ids())
    for first in range(0, len(clients), AT_ONCE):
        asked = clients[first : first + AT_ONCE]
        replies = grid.send_and_receive(_questions(run, asked), timeout=federation.timeout)
        by_client = {reply.metadata.src_node_id: reply for reply in replies}
        for client in asked:
            found = _read(client, by_client.get(client), num_items)
            if isinstance(found, Rejection):
                rejections.append(found)
            else:
                total += shortened(found, clip_norm)
    if len(clients) - len(rejections) < federation.min_replies:
        message = (
            f"item counts: {len(clients) - len(rejections)} usable replies of {len(clients)}, "
            f"federation.min_replies={federation.min_replies}; {in_words(rejections)}"
        )
        raise FederationError(message)
    return total, rejections


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
    except Exception as error:  # noqa: BLE001 - what a stranger's bytes raise when they are decoded has no bounds
        return Rejection(client, "unreadable", f"reply lacks item_counts, or cannot be decoded: {error!r}")
    if found.shape != (num_items,):
        return Rejection(client, "wrong shape", f"item_counts is {list(found.shape)}, asked for [{num_items}]")
    return found if np.isfinite(found).all() else not_finite(client, ["item_counts"])
