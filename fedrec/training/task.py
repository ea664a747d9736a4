"""What a client is asked to do and what it answers: values, no engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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

    parameters: dict[str, Tensor]
    private: dict[str, Tensor]
    weight: float
    loss: float | None
