"""What a client gives to a secure sum: its whole change, clipped, as integers, with its share of the noise.

The noise is drawn by the client's own name and is in the integers before anyone else sees them, masked or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.seeding import rng_for
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.errors import SecureAggregationError
from fedrec.privacy.secagg.integers.quantisation import encode
from fedrec.privacy.secagg.terms import Terms, Vector
from fedrec.training.task import CohortUpdate, only_row

Adapter = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Summands:
    """What clients of a round add up: one after the other, or together.

    Attributes:
        clients: Whose it is.
        vectors: Integers modulo 2^bits, noise included, `[clients, length]`; of clients together their sums, in any
            number of rows.
        failures: Who has nothing to add, and why.
    """

    clients: Sequence[int]
    vectors: Vector
    failures: Mapping[int, str] = field(default_factory=dict)

    def together(self, terms: Terms) -> "Summands":
        """Return the clients' sum in one row."""
        return Summands(self.clients, added(terms, self.vectors)[None], self.failures)


def added(terms: Terms, vectors: Vector) -> Vector:
    """Return the sum of rows modulo 2^bits; zeros for none."""
    return terms.reduced(np.add.reduce(vectors, axis=0, dtype=terms.dtype))


def summands(update: CohortUpdate, before: Adapter, agreement: Agreement, terms: Terms, seed: int) -> Summands:
    """Return what clients that trained give to the round's sum; one whose change is not finite has nothing to give.

    Args:
        update: Their answers to the adapter `before`.
        before: The adapter that was sent.
        agreement: How a change becomes integers.
        terms: Of the round.
        seed: Behind the noise: a secret of the clients.
    """
    failures = dict(update.failures)
    given: dict[int, Vector] = {}
    for client, answer in update.each():
        try:
            given[client] = _summand(_flat(only_row(answer.parameters), before), agreement, terms, seed, client)
        except SecureAggregationError as error:
            failures[client] = f"{type(error).__name__}: {error}"
    vectors = np.stack(list(given.values())) if given else np.zeros((0, terms.length), terms.dtype)
    return Summands(list(given), vectors, failures)


def _summand(change: NDArray[np.float64], agreement: Agreement, terms: Terms, seed: int, client: int) -> Vector:
    rng = rng_for(seed, "share of noise", terms.round, client)
    return encode(agreement.code(terms.round, change.size).integers(change, rng), terms.bits, terms.dtype)


def _flat(after: Mapping[str, Tensor], before: Adapter) -> NDArray[np.float64]:
    """Return the change as one vector, in the order of the parameters' names."""
    with np.errstate(over="ignore", invalid="ignore"):  # looked for by the grid
        changes = [(after[name].numpy() - before[name]).ravel() for name in sorted(before)]
    return np.concatenate([np.zeros(0), *changes])
