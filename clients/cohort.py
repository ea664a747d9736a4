"""What the ClientApp does for one client, for many at once: admit, recall, train, keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray

from clients.context import client_context
from clients.state import admit
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate, joined, nobody
from fedrec.training.vectorized import train_cohort


@dataclass(frozen=True)
class CohortRequest:
    """What is asked of some clients of a round.

    Attributes:
        run: The run's folder.
        clients: Whose work it is, each once.
        round: Number of the round.
        proximal_mu: FedProx's pull.
    """

    run: str
    clients: Sequence[int]
    round: int
    proximal_mu: float = 0.0

    def each(self) -> Iterator["CohortRequest"]:
        """Yield the same of each client alone."""
        for client in self.clients:
            yield replace(self, clients=[client])


def answer_cohort(request: CohortRequest, parameters: Mapping[str, NDArray[Any]], device: str = "cpu") -> CohortUpdate:
    """Return the clients' answers to the global adapter; whoever cannot answer is named in the failures."""
    context = client_context(request.run, device)
    refusals = admit(context.store, context.training.plan, request.clients, request.round)
    asked = [client for client in request.clients if client not in refusals]
    task = CohortTask(
        clients=asked,
        round=request.round,
        parameters={name: torch.from_numpy(value.copy()) for name, value in parameters.items()},
        private=context.store.recall(asked, before=request.round),
        proximal_mu=request.proximal_mu,
    )
    update = _train(context.training, task)
    context.store.keep(update.clients, update.private, request.round)
    return replace(update, failures={**update.failures, **{c: f"PrivacyError: {why}" for c, why in refusals.items()}})


def _train(context: TrainingContext, task: CohortTask) -> CohortUpdate:
    """Train together; where that breaks off, one by one, so that whoever is the cause fails alone."""
    if not task.clients:
        return nobody({})
    try:
        return train_cohort(context, task)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        if len(task.clients) == 1:
            return nobody({task.clients[0]: f"{type(error).__name__}: {error} (round {task.round})"})
        alone = [
            replace(task, clients=[client], private={n: value[row : row + 1] for n, value in task.private.items()})
            for row, client in enumerate(task.clients)
        ]
        return joined([_train(context, one) for one in alone])
