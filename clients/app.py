"""The Flower ClientApp: unpack the message, do the work of `fedrec.training`, pack the reply.

The message's config names the run's folder ("run"), the round ("server-round") and, for FedProx, "proximal-mu".
The reply carries the adapter under "arrays" and, without privacy, the number of examples and the training loss:
under privacy both would be releases, so the weight is 1 and no loss is sent.
"""

from functools import lru_cache
from pathlib import Path

import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.state import ClientState, keep, recall
from fedrec.errors import FedrecError, PrivacyError
from fedrec.job import Job
from fedrec.privacy.ledger import Ledger
from fedrec.training.client import train_client
from fedrec.training.task import ClientTask, ClientUpdate
from fedrec.training.workbench import Workbench

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the adapter on this client's interactions."""
    config = message.content.config_records["config"]
    run, round_number = str(config["run"]), int(str(config["server-round"]))
    client = int(str(context.node_config["partition-id"]))
    bench = _workbench(run)
    folder = Path(run) / "clients" / str(client)
    state = recall(folder, before=round_number)
    ledger = _charge(bench, state.ledger, client, round_number)
    task = ClientTask(
        client=client,
        round=round_number,
        parameters=_tensors(message.content.array_records["arrays"]),
        private=state.private,
        proximal_mu=float(str(config.get("proximal-mu", 0.0))),
    )
    update = train_client(bench, task)
    if update.private or ledger.charges:
        keep(folder, ClientState(update.private, ledger), round_number)
    return Message(_pack(update), reply_to=message)


@app.query()
def query(message: Message, context: Context) -> Message:
    """Tell which client this node is."""
    partition = int(str(context.node_config["partition-id"]))
    return Message(RecordDict({"node": MetricRecord({"partition-id": partition})}), reply_to=message)


def _charge(bench: Workbench, ledger: Ledger, client: int, round_number: int) -> Ledger:
    """Return the client's ledger after this round.

    Raises:
        PrivacyError: If the round would release more of its users than was planned: the client does not answer.
    """
    if bench.plan.placement != "client":
        return ledger
    charged = ledger.charge(round_number, [client], bench.plan.release)
    spent = sum(release.count for release in charged.releases(client))
    if spent > bench.plan.count:
        message = (
            f"client {client} was asked for {spent} releases, its budget is {bench.plan.count}; it does not answer"
        )
        raise PrivacyError(message)
    return charged


def _tensors(arrays: ArrayRecord) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array.numpy().copy()) for name, array in arrays.items()}


def _pack(update: ClientUpdate) -> RecordDict:
    metrics: dict[str, int | float | list[int] | list[float]] = {"num-examples": update.weight}
    if update.loss is not None:
        metrics["train-loss"] = update.loss
    arrays = ArrayRecord({name: Array(value.numpy()) for name, value in update.parameters.items()})
    return RecordDict({"arrays": arrays, "metrics": MetricRecord(metrics)})


@lru_cache(maxsize=1)
def _workbench(run: str) -> Workbench:
    """Return what this process's tasks share; one torch thread a worker, so that cores are not fought over."""
    if not Path(run).is_dir():
        message = f"the run's folder {run} cannot be read by this client"
        raise FedrecError(message)
    torch.set_num_threads(1)
    return Job(Path(run)).workbench
