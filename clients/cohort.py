"""What the ClientApp does for one client, for many at once: admit, recall, train, keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from numpy.typing import NDArray

from clients.context import ClientContext, client_context
from clients.encoding import encode
from fedrec.privacy.plan import PrivacyPlan
from fedrec.run.client_store import ClientStore
from fedrec.training.context import TrainingContext
from fedrec.training.rules.base import LocalWork
from fedrec.training.rules.round import build_rule
from fedrec.training.rules.wire import from_config
from fedrec.training.task import CohortTask, CohortUpdate, joined, nobody
from fedrec.training.vectorized import train_cohort


@dataclass(frozen=True)
class CohortRequest:
    """What is asked of some clients of a round.

    Attributes:
        run: The run's folder.
        clients: Whose work it is, each once.
        round: Number of the round.
        rule: Name of the client rule.
        options: The rule's options.
    """

    run: str
    clients: Sequence[int]
    round: int
    rule: str = "plain"
    options: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, object], clients: Sequence[int]) -> Self:
        """Return what a message's config asks of clients.

        Raises:
            FedrecError: If an option of the rule is no number.
        """
        rule, options = from_config(config)
        return cls(str(config["run"]), clients, int(str(config["server-round"])), rule, options)

    def each(self) -> Iterator["CohortRequest"]:
        """Yield the same of each client alone."""
        for client in self.clients:
            yield replace(self, clients=[client])


Arrays = Mapping[str, NDArray[Any]]


def answer_cohort(request: CohortRequest, parameters: Arrays, extras: Arrays, device: str = "cpu") -> CohortUpdate:
    """Return the clients' answers to the global adapter and the extras beside it.

    Whoever cannot answer is named in the failures.
    """
    context = client_context(request.run, device)
    refusals = admit(context.store, context.training.plan, request.clients, request.round)
    asked = replace(request, clients=[client for client in request.clients if client not in refusals])
    task = task_of(context, asked, parameters, extras)
    update = leave(context, task, _train(context.training, task))
    return replace(update, failures={**update.failures, **{c: f"PrivacyError: {why}" for c, why in refusals.items()}})


def admit(store: ClientStore, plan: PrivacyPlan, clients: Sequence[int], round: int) -> dict[int, str]:
    """Charge the clients for `round`, but those that would release more of their users than was planned.

    Nobody pays where clients add no noise. Who adds a share of it relies on others' shares, and counts all the same.

    Returns:
        Why a client refuses, by client: it is not charged and must not answer.
    """
    if plan.trust not in {"local", "secure-aggregation"}:
        return {}
    releases = store.charged(clients, including=round) * plan.steps
    refusals = {
        client: f"client {client} was asked for {spent} releases, its budget is {plan.count}; it does not answer"
        for client, spent in zip(clients, releases.tolist(), strict=True)
        if spent > plan.count
    }
    store.charge([client for client in clients if client not in refusals], round)
    return refusals


def task_of(context: ClientContext, request: CohortRequest, parameters: Arrays, extras: Arrays) -> CohortTask:
    """Return the clients' task, with what they kept after their last round before it.

    Raises:
        ConfigError: If their rule is unknown or does not take its options.
        RunError: If what a client kept is not what was written.
    """
    task = CohortTask(
        clients=request.clients,
        round=request.round,
        parameters={name: torch.from_numpy(value.copy()) for name, value in parameters.items()},
        private=context.store.recall(request.clients, before=request.round),
        rule=request.rule,
        options=request.options,
        extras={name: torch.from_numpy(value.copy()) for name, value in extras.items()},
    )
    store = _rule_store(context, task)
    return task if store is None else replace(task, kept=store.recall(task.clients, before=task.round))


def leave(context: ClientContext, task: CohortTask, update: CohortUpdate) -> CohortUpdate:
    """Return what leaves the clients, their changes encoded if there are transforms; what stays with them is kept."""
    update = encode(context, task, update) if context.transforms else update
    context.store.keep(update.clients, update.private, task.round)
    if (store := _rule_store(context, task)) is not None:
        store.keep(update.clients, update.kept, task.round)
    return replace(update, private={}, kept={})


def _rule_store(context: ClientContext, task: CohortTask) -> ClientStore | None:
    """Return where the arrays lie that the task's rule keeps; None if it keeps none."""
    training = context.training
    rule = build_rule(task.rule, task.options, LocalWork.of(training.experiment))
    return context.store.of_rule(rule, training.shared_start)


def _train(context: TrainingContext, task: CohortTask) -> CohortUpdate:
    """Train together; where that breaks off, one by one, so that whoever is the cause fails alone."""
    if not task.clients:
        return nobody({})
    try:
        return train_cohort(context, task)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        if len(task.clients) == 1:
            return nobody({task.clients[0]: f"{type(error).__name__}: {error} (round {task.round})"})
        return joined([_train(context, alone) for alone in task.each()])
