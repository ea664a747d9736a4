"""What clients are asked to do and what they answer: values, no engine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ClientTask:
    """One client's work in one round.

    Attributes:
        client: Number of the client, in `[0, clients)`.
        round: Number of the round, from 1.
        parameters: The global adapter, by parameter name.
        private: The client's own parameters that never travel, by name; empty in its first round.
        proximal_mu: Pull towards the global adapter (FedProx, Li et al. 2020); 0 for none.
    """

    client: int
    round: int
    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor] = field(default_factory=dict)
    proximal_mu: float = 0.0


@dataclass(frozen=True, eq=False)
class ClientUpdate:
    """The answer.

    Attributes:
        parameters: The adapter after local training, of the names and shapes that were sent.
        private: The client's own parameters after training; stays with the client.
        weight: Number of examples, or 1 under privacy, where the number would be a release.
        loss: Mean training loss of the round in nats; None under privacy, or if no batch had an example.
    """

    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor]
    weight: float
    loss: float | None


@dataclass(frozen=True, eq=False)
class CohortTask:
    """The same work for many clients.

    Attributes:
        clients: Their numbers, each once.
        round: Number of the round, from 1.
        parameters: The global adapter, by parameter name: one for all.
        private: Their own parameters that never travel, `[clients, *shape]` by name; empty in their first round.
        proximal_mu: As in `ClientTask`.
    """

    clients: Sequence[int]
    round: int
    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor] = field(default_factory=dict)
    proximal_mu: float = 0.0


@dataclass(frozen=True, eq=False)
class CohortUpdate:
    """The answers, a row a client.

    Attributes:
        clients: Who answered; the order of the rows.
        parameters: Adapters after local training, `[clients, *shape]` by name.
        private: Their own parameters after training, `[clients, *shape]` by name.
        weights: As in `ClientUpdate`, one a client.
        losses: As in `ClientUpdate`, one a client.
        failures: What was raised by the others, type and text, by client.
    """

    clients: Sequence[int]
    parameters: Mapping[str, Tensor]
    private: Mapping[str, Tensor]
    weights: Sequence[float]
    losses: Sequence[float | None]
    failures: Mapping[int, str] = field(default_factory=dict)

    def each(self) -> Iterator[tuple[int, ClientUpdate]]:
        """Yield every client that answered, with its answer: views of the rows."""
        for row, client in enumerate(self.clients):
            yield (
                client,
                ClientUpdate(
                    {name: value[row] for name, value in self.parameters.items()},
                    {name: value[row] for name, value in self.private.items()},
                    self.weights[row],
                    self.losses[row],
                ),
            )


def nobody(failures: Mapping[int, str]) -> CohortUpdate:
    """Return the answers of clients that all failed."""
    return CohortUpdate([], {}, {}, [], [], failures)


def joined(parts: Sequence[CohortUpdate]) -> CohortUpdate:
    """Return the answers of several cohorts as one, in the cohorts' order; `nobody` of none."""
    heard = [part for part in parts if part.clients]

    def rows(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([value[name] for value in values]) for name in (values[0] if values else ())}

    return CohortUpdate(
        clients=[client for part in heard for client in part.clients],
        parameters=rows([part.parameters for part in heard]),
        private=rows([part.private for part in heard]),
        weights=[weight for part in heard for weight in part.weights],
        losses=[loss for part in heard for loss in part.losses],
        failures={client: why for part in parts for client, why in part.failures.items()},
    )
