"""The Flower ClientApp: unpack the message, do the work of `fedrec.training`, pack the reply.

The message's config names the run's folder ("run"), the round ("server-round") and, for FedProx, "proximal-mu".
The reply carries the adapter under "arrays" and, without privacy, the number of examples and the training loss:
under privacy both would be releases, so the weight is 1 and no loss is sent.
"""

import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.context import client_context
from clients.state import admit
from fedrec.core.errors import PrivacyError
from fedrec.training.client import train_client
from fedrec.training.item_counts import item_counts
from fedrec.training.task import ClientTask, ClientUpdate

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the adapter on this client's interactions."""
    config = message.content.config_records["config"]
    run, round_number = str(config["run"]), int(str(config["server-round"]))
    client = int(str(context.node_config["partition-id"]))
    own = client_context(run, "cpu")
    if refusal := admit(own.store, own.training.plan, [client], round_number).get(client):
        raise PrivacyError(refusal)
    private = own.store.recall([client], before=round_number)
    task = ClientTask(
        client=client,
        round=round_number,
        parameters=_tensors(message.content.array_records["arrays"]),
        private={name: value[0] for name, value in private.items()},
        proximal_mu=float(str(config.get("proximal-mu", 0.0))),
    )
    update = train_client(own.training, task)
    own.store.keep([client], {name: value[None] for name, value in update.private.items()}, round_number)
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


def _tensors(arrays: ArrayRecord) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.numpy().copy()) for name, array in arrays.items()}


def pack(update: ClientUpdate) -> RecordDict:
    """Return an answer as it travels."""
    metrics: dict[str, int | float | list[int] | list[float]] = {"num-examples": update.weight}
    if update.loss is not None:
        metrics["train-loss"] = update.loss
    arrays = ArrayRecord({name: Array(value.numpy()) for name, value in update.parameters.items()})
    return RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})
