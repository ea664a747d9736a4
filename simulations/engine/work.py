"""What a worker does with a chunk of clients: train them, and hand back their answers or what these add up to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from clients.cohort import CohortRequest
from fedrec.training.task import CohortUpdate, joined, nobody
from server.aggregation.update import Array
from server.aggregation.update_sum import SumAggregator, UpdateSum
from simulations.engine.reply_size import sent_of

T = TypeVar("T")

Parameters = Mapping[str, Array]

Train = Callable[[CohortRequest, Parameters, Parameters], CohortUpdate]
"""Answers for clients to the adapter and the extras beside it; travels to workers by pickle."""


@dataclass(frozen=True)
class Work(ABC, Generic[T]):
    """A worker's task, the same for every chunk of a round.

    Attributes:
        train: Answers for clients.
    """

    train: Train

    @abstractmethod
    def result(self, update: CohortUpdate, parameters: Parameters) -> T:
        """Return what goes back to the server."""

    @abstractmethod
    def join(self, parts: Sequence[T]) -> T:
        """Return the results of several chunks as one."""

    def __call__(self, request: CohortRequest, parameters: Parameters, extras: Parameters) -> T:
        """Return the result of a chunk."""
        return self.result(self.train(request, parameters, extras), parameters)

    def failed(self, client: int, why: str, parameters: Parameters) -> T:
        """Return the result of a chunk of one client that never answered."""
        return self.result(nobody({client: why}), parameters)


class Answers(Work[CohortUpdate]):
    """For strategies that need the whole cohort: the answers themselves."""

    def result(self, update: CohortUpdate, parameters: Parameters) -> CohortUpdate:
        """Return the answers: what travels of them."""
        del parameters
        return replace(update, parameters={}) if update.encoded else update

    def join(self, parts: Sequence[CohortUpdate]) -> CohortUpdate:
        """Return them together."""
        return joined(parts)


@dataclass(frozen=True)
class Add(Work[UpdateSum]):
    """For strategies that average: what the changes add up to.

    Attributes:
        aggregator: How they are added.
    """

    aggregator: SumAggregator

    def result(self, update: CohortUpdate, parameters: Parameters) -> UpdateSum:
        """Return their total, and what the clients would have sent."""
        return replace(self.aggregator.add_cohort(parameters, update), sent=sent_of(update))

    def join(self, parts: Sequence[UpdateSum]) -> UpdateSum:
        """Return the totals' total, added in their order."""
        total = UpdateSum({})
        for part in parts:
            total += part
        return total
