"""What clients are asked to do and what they answer: values, no engine. One client is a cohort of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CohortTask:
    """The same work for clients of one round.

    Attributes:
        clients: Their numbers, each once.
        round: Number of the round, from 1.
        parameters: The global adapter, by parameter name: one for all.
        private: Their own parameters that never travel, `[clients, *shape]` by name; empty in their first round.
        rule: Name of the client rule (see `fedrec.training.rules`).
        options: The rule's options.
        extras: What the server sends beside the adapter, by name: one for all; what the rule asks for.
        kept: What the rule left with them after their last round, `[clients, *shape]` by name; empty in their first.
    """

    clients: Sequence[int]
    round: int
    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor] = field(default_factory=dict)
    rule: str = "plain"
    options: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    def each(self) -> Iterator["CohortTask"]:
        """Yield the task of each client alone: views of the rows."""
        for row, client in enumerate(self.clients):
            private, kept = ({n: v[row : row + 1] for n, v in some.items()} for some in (self.private, self.kept))
            yield replace(self, clients=[client], private=private, kept=kept)


@dataclass(frozen=True, eq=False)
class CohortUpdate:
    """The answers, a row a client.

    Attributes:
        clients: Who answered; the order of the rows.
        parameters: Adapters after local training, of the names that were sent, `[clients, *shape]`.
        private: Their own parameters after training, `[clients, *shape]` by name; they stay with the clients.
        weights: Numbers of examples, or 1 under privacy, where the number would be a release; one a client.
        losses: Mean training losses of the round in nats; None under privacy, or if no batch had an example.
        failures: What was raised by the others, type and text, by client.
        extras: The rule's payload, which is sent beside the adapter, `[clients, *shape]` by name.
        kept: What the rule leaves with the clients, `[clients, *shape]` by name.
        encoded: What travels instead of the adapter where the experiment has transforms: each client's encoded change,
            by client; empty without transforms.
    """

    clients: Sequence[int]
    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor]
    weights: Sequence[float]
    losses: Sequence[float | None]
    failures: Mapping[int, str] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    encoded: Mapping[int, Mapping[str, NDArray[Any]]] = field(default_factory=dict)

    def each(self) -> Iterator[tuple[int, "CohortUpdate"]]:
        """Yield every client that answered, with its answer, a cohort of one: views of the rows."""
        for row, client in enumerate(self.clients):
            parameters, private, extras, kept = (
                {name: value[row : row + 1] for name, value in some.items()}
                for some in (self.parameters, self.private, self.extras, self.kept)
            )
            yield (
                client,
                CohortUpdate(
                    [client],
                    parameters,
                    private,
                    [self.weights[row]],
                    [self.losses[row]],
                    extras=extras,
                    kept=kept,
                    encoded={client: self.encoded[client]} if client in self.encoded else {},
                ),
            )


def only_row(stack: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the arrays of a cohort of one: `[1, *shape]` becomes `[*shape]`."""
    return {name: value.squeeze(0) for name, value in stack.items()}


def nobody(failures: Mapping[int, str]) -> CohortUpdate:
    """Return the answers of clients that all failed."""
    return CohortUpdate([], {}, {}, [], [], failures)


def joined(parts: Sequence[CohortUpdate]) -> CohortUpdate:
    """Return the answers of several cohorts as one, in the cohorts' order; `nobody` of none."""
    answered = [part for part in parts if part.clients]

    def rows(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([value[name] for value in values]) for name in (values[0] if values else ())}

    return CohortUpdate(
        clients=[client for part in answered for client in part.clients],
        parameters=rows([part.parameters for part in answered]),
        private=rows([part.private for part in answered]),
        weights=[weight for part in answered for weight in part.weights],
        losses=[loss for part in answered for loss in part.losses],
        failures={client: why for part in parts for client, why in part.failures.items()},
        extras=rows([part.extras for part in answered]),
        kept=rows([part.kept for part in answered]),
        encoded={client: sent for part in answered for client, sent in part.encoded.items()},
    )
