"""Secure aggregation in a simulation, which does all clients' work: their integers are here, and only their sum leaves.

In the first rounds (`Agreement.masked_rounds`) the protocol itself makes the sum, with every key, share and mask of
every client, whoever failed or was late being one that dropped out after sharing. In the others workers add the same
integers, to the same bits and with the same rounds lost; then no cohort lies in one memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clients.secure_update import Summands, added, summands
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.protocol.checks import check_opens
from fedrec.privacy.secagg.protocol.simulation import Dropouts, masked_sum, named_entropy
from fedrec.privacy.secagg.terms import Terms, Vector
from fedrec.training.task import CohortUpdate
from server.aggregation.replies import failed
from server.aggregation.secret_sum import SecretSum
from simulations.engine.work import Parameters, Work


@dataclass(frozen=True)
class Encode(Work[Summands]):
    """For secure sums: what the clients add up.

    Attributes:
        agreement: How a change becomes integers.
        round: Number of the round.
        seed: Behind the clients' noise and keys.
    """

    agreement: Agreement
    round: int
    seed: int

    def result(self, update: CohortUpdate, parameters: Parameters) -> Summands:
        """Return each client's integers where masks will hide them, else their sum."""
        terms = self.terms(parameters)
        own = summands(update, parameters, self.agreement, terms, self.seed)
        return own if self.agreement.masked(self.round) else own.together(terms)

    def join(self, parts: Sequence[Summands]) -> Summands:
        """Return those of several chunks."""
        return Summands(
            [client for part in parts for client in part.clients],
            np.concatenate([part.vectors for part in parts]),
            {client: why for part in parts for client, why in part.failures.items()},
        )

    def terms(self, parameters: Parameters) -> Terms:
        """Return the terms of the round."""
        return self.agreement.terms(self.round, sum(value.size for value in parameters.values()))

    def open(self, invited: Sequence[int], parts: Sequence[Summands], parameters: Parameters) -> SecretSum:
        """Return what the server learns.

        Args:
            invited: The cohort; who is in no part dropped out.
            parts: Of the chunks that came in time.
            parameters: The global adapter.

        Raises:
            SecureAggregationError: If the round is lost.
        """
        terms, clients = self.terms(parameters), tuple(sorted(invited))
        whole = self.join([Summands([], np.zeros((0, terms.length), terms.dtype)), *parts])
        survivors = tuple(sorted(whole.clients))
        rejections = [failed(client, why) for client, why in sorted(whole.failures.items())]
        if not self.agreement.masked(self.round):
            check_opens(terms, clients, survivors)
            return SecretSum(added(terms, whole.vectors), survivors, rejections)
        return SecretSum(self._unmasked(terms, clients, whole), survivors, rejections)

    def _unmasked(self, terms: Terms, clients: tuple[int, ...], whole: Summands) -> Vector:
        vectors = dict(zip(whole.clients, whole.vectors, strict=True))
        absent = [client for client in clients if client not in vectors]
        nothing = np.zeros(terms.length, terms.dtype)  # never masked, never sent
        everyone = {**vectors, **dict.fromkeys(absent, nothing)}
        return masked_sum(terms, everyone, Dropouts(shared=absent), named_entropy(self.seed, terms.round)).vector
