"""What secure aggregation tells the server: a sum of integers, and who is in it. Nothing is about one client alone.

The trust model `secure-aggregation` has its wall here: of a round's changes no code of `server/` is given anything but
a `SecretSum`, which is decoded into the `UpdateSum` that an averaging strategy gets anyway.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from fedrec.core.errors import FederationError, PrivacyError
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.terms import Vector
from server.aggregation.replies import Rejection
from server.aggregation.update import Array
from server.aggregation.update_sum import Sums, UpdateSum


@dataclass(frozen=True, eq=False)
class SecretSum:
    """The end of a round.

    Args:
        vector: Sum of the survivors' integers modulo 2^bits, noise included.
        survivors: Who is in it, ascending.
        rejections: Who said why it dropped out; of others it is only known that they did.
    """

    vector: Vector
    survivors: Sequence[int]
    rejections: Sequence[Rejection] = field(default_factory=list)


class SecretSumGrid(Grid):
    """A grid whose clients run the protocol of `fedrec.privacy.secagg`: one sum comes back, or none."""

    @abstractmethod
    def send_and_open(
        self, messages: Sequence[Message], agreement: Agreement, *, timeout: float | None = None
    ) -> SecretSum:
        """Send a round's messages to its cohort and return what the changes add up to.

        Clients that fail, or do not answer within `timeout` seconds, are dropouts.

        Raises:
            SecureAggregationError: If the round is lost: too many dropped out.
        """


def secret(grid: Grid) -> SecretSumGrid:
    """Return the grid, if it makes sums in secret.

    Raises:
        PrivacyError: If every client's answer would reach the server.
    """
    if not isinstance(grid, SecretSumGrid):
        message = (
            "privacy.trust=secure-aggregation hides every client's update from the server, but a "
            f"{type(grid).__name__} hands it each one; choose the engine inprocess or ray, or privacy.trust=local"
        )
        raise PrivacyError(message)
    return grid


def forbid_updates(plan: PrivacyPlan) -> None:
    """Refuse to look at a client's own change where only sums may be seen.

    Raises:
        PrivacyError: If so.
    """
    if plan.trust == "secure-aggregation":
        message = (
            "under privacy.trust=secure-aggregation a strategy is given sums alone, but it was handed clients' "
            "answers; hand it a total, or set privacy.trust=local"
        )
        raise PrivacyError(message)


def decoded(opened: SecretSum, shape: Mapping[str, Array], agreement: Agreement, round: int) -> UpdateSum:
    """Return the sum as real numbers, noise included, by parameter name.

    Args:
        opened: The parameters one after the other, in the order of their names.
        shape: The adapter, for names and shapes.
        agreement: Says what an integer means.
        round: Number of the round.

    Raises:
        FederationError: If the sum has another length than the adapter.
    """
    names = sorted(shape)
    ends = np.cumsum([shape[name].size for name in names], dtype=np.int64)
    code = agreement.code(round, int(ends[-1]) if names else 0)
    if len(opened.vector) != code.width:
        message = f"a sum of {len(opened.vector)} numbers was opened, but the adapter has {ends[-1] if names else 0}"
        raise FederationError(message)
    numbers = code.reals(opened.vector)
    parts = np.split(numbers, ends[:-1]) if names else []
    sums: Sums = {name: part.reshape(shape[name].shape) for name, part in zip(names, parts, strict=True)}
    return UpdateSum(sums, float(len(opened.survivors)), opened.survivors, opened.rejections)
