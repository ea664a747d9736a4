"""The client half of an experiment's transforms: each client's change, encoded, with what it keeps of them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clients.context import ClientContext
from fedrec.run.client_store import ClientStore
from fedrec.training.task import CohortTask, CohortUpdate, joined, nobody, only_row

Arrays = Mapping[str, NDArray[Any]]


def encode(context: ClientContext, task: CohortTask, update: CohortUpdate) -> CohortUpdate:
    """Return the answers with their changes encoded; whoever cannot encode its own is named in the failures.

    A change is after minus before in the adapter's own type, on every engine.
    """
    before = {name: value.numpy() for name, value in task.parameters.items()}
    store = _store(context)
    kept = {} if store is None else store.recall(update.clients, before=task.round)
    sent: list[CohortUpdate] = []
    left: list[Arrays] = []
    for row, (client, answer) in enumerate(update.each()):
        own = {name: value[row].numpy() for name, value in kept.items()}
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the server looks for it
                change = {name: value.numpy() - before[name] for name, value in only_row(answer.parameters).items()}
                encoded, remains = context.transforms.encode(change, client, task.round, own)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
            sent.append(nobody({client: f"{type(error).__name__}: {error} (transforms, round {task.round})"}))
        else:
            sent.append(replace(answer, encoded={client: encoded}))
            left.append(remains)
    encoded_all = joined([nobody(update.failures), *sent])
    if store is not None:
        stacks = {name: torch.from_numpy(np.stack([one[name] for one in left])) for name in kept} if left else {}
        store.keep(encoded_all.clients, stacks, task.round)
    return encoded_all


@lru_cache(maxsize=2)  # as many as there are contexts
def _store(context: ClientContext) -> ClientStore | None:
    """Return where the arrays lie that the transforms keep; None if they keep none."""
    if not context.transforms.remember:
        return None
    shape = {name: value.numpy() for name, value in context.training.shared_start.items()}
    start = {name: torch.from_numpy(np.array(value)) for name, value in context.transforms.kept_start(shape).items()}
    return context.store.beside("transforms", start)
