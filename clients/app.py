"""The Flower ClientApp: unpack the message, do the work of `fedrec.training`, pack the reply.

The message's config names the run's folder ("run"), the round ("server-round") and the client rule with its options
(`fedrec.training.rules.wire`); "arrays" is the adapter, and "extras", if there are any, what is sent beside it for the
rule. The reply carries the adapter under "arrays", or its encoded change where the experiment has transforms
(`clients.encoding`), the rule's payload, if it has one, under "extras" and, without privacy, the number of examples and
the training loss: under privacy both would be releases, so the weight is 1 and no loss is sent.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.cohort import CohortRequest, admit, leave, task_of
from clients.context import client_context
from fedrec.core.errors import FedrecError, PrivacyError
from fedrec.models.linear.sums import SUMS
from fedrec.training.client import train_client
from fedrec.training.item_counts import item_counts
from fedrec.training.linear_sums import client_sum
from fedrec.training.task import CohortUpdate, only_row

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the adapter on this client's interactions."""
    client = int(str(context.node_config["partition-id"]))
    asked = CohortRequest.of(message.content.config_records["config"], [client])
    own = client_context(asked.run, "cpu")
    if refusal := admit(own.store, own.training.plan, [client], asked.round).get(client):
        raise PrivacyError(refusal)
    parameters, extras = arrays_of(message.content, "arrays"), arrays_of(message.content, "extras")
    task = task_of(own, asked, parameters, extras)
    update = leave(own, task, train_client(own.training, task))
    for why in update.failures.values():
        raise FedrecError(why)
    return Message(pack(update), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Tell which client this node is."""
    partition = int(str(context.node_config["partition-id"]))
    return Message(RecordDict({"node": MetricRecord({"partition-id": partition})}), reply_to=message)


@app.query("item_counts")
def count(message: Message, context: Context) -> Message:
    """Tell how many of this client's users have each item."""
    run = str(message.content.config_records["config"]["run"])
    counts = item_counts(client_context(run, "cpu").training, int(str(context.node_config["partition-id"])))
    return Message(RecordDict({"arrays": ArrayRecord({"item_counts": Array(counts)})}), reply_to=message)


def _answer_sum(name: str, message: Message, context: Context) -> Message:
    """Tell this client's part of a sum that a linear branch is made of."""
    run = str(message.content.config_records["config"]["run"])
    found = client_sum(client_context(run, "cpu").training, int(str(context.node_config["partition-id"])), name)
    return Message(RecordDict({"arrays": ArrayRecord({name: Array(found)})}), reply_to=message)


for _name in SUMS:
    app.query(_name)(partial(_answer_sum, _name))


def arrays_of(content: RecordDict, record: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of one of a message's records, by name; none if it has no such record."""
    return {name: array.numpy() for name, array in content.array_records.get(record, ArrayRecord()).items()}


def pack(update: CohortUpdate) -> RecordDict:
    """Return the answer of a cohort of one as it travels."""
    encoded = update.encoded.get(update.clients[0])
    metrics: dict[str, int | float | list[int] | list[float]] = {"num-examples": update.weights[0]}
    if (loss := update.losses[0]) is not None:
        metrics["train-loss"] = loss
    arrays = _record(_numpy(update.parameters) if encoded is None else encoded)
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})
    if update.extras:
        content["extras"] = _record(_numpy(update.extras))
    return content


def _record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    return ArrayRecord({name: Array(value) for name, value in arrays.items()})


def _numpy(stack: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {name: value.numpy() for name, value in only_row(stack).items()}
