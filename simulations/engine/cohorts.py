"""A grid whose clients are trained in chunks, by whatever pool: the `inprocess` and the `ray` engine.

Training messages are taken together: those with one content become chunks (see `simulations.engine.chunks`), and each
chunk is one vectorised piece of work. Any other message goes to the ClientApp, as on every grid.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from uuid import uuid4

from flwr.app import Error, Message, MessageType, RecordDict
from flwr.common.constant import ErrorCode

from clients.app import app, arrays_of, pack
from clients.cohort import CohortRequest
from clients.context import client_context
from fedrec.core.errors import FederationError
from fedrec.data.interactions import IntArray
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.training.task import CohortUpdate
from server.aggregation.secret_sum import SecretSum, SecretSumGrid
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.grids import SummingGrid
from simulations.engine.chunks import CHUNK_SIZES, ChunkSize, chunks_of
from simulations.engine.inprocess import InProcessGrid
from simulations.engine.secret_sums import Encode
from simulations.engine.work import Add, Answers, Parameters, Train, Work

T = TypeVar("T")

Positions = Callable[[str, Sequence[int]], IntArray]
"""Run's folder and clients -> positions of each client's examples, by which chunks are cut."""


def positions_of(run: str, clients: Sequence[int]) -> IntArray:
    """Return what the prepared run says."""
    return client_context(run, "cpu").training.positions(clients)


def seed_of(run: str) -> int:
    """Return the seed behind the clients' noise; here the server could read it too, in a deployment it must not."""
    return client_context(run, "cpu").training.secret_seed


class WorkerPool(Protocol):
    """Who does the work."""

    def do(
        self,
        work: Work[T],
        requests: Sequence[CohortRequest],
        parameters: Parameters,
        extras: Parameters,
        timeout: float | None,
    ) -> Iterator[T | None]:
        """Yield the result of each request, in their order; None for what was not done within `timeout` seconds."""


@dataclass(frozen=True)
class OneProcess:
    """This process does everything itself; it cannot be cut short."""

    def do(
        self,
        work: Work[T],
        requests: Sequence[CohortRequest],
        parameters: Parameters,
        extras: Parameters,
        timeout: float | None,
    ) -> Iterator[T | None]:
        """Yield each result when it is made."""
        del timeout
        for request in requests:
            yield work(request, parameters, extras)


class CohortGrid(InProcessGrid, SummingGrid, SecretSumGrid):
    """Clients that are trained in chunks.

    Args:
        clients: Number of clients; node ids are `0..clients - 1`.
        pool: Who does the work.
        train: How a chunk is trained.
        positions: How large each client's work is.
        size: Where a chunk ends.
    """

    def __init__(
        self,
        clients: int,
        pool: WorkerPool,
        train: Train,
        positions: Positions = positions_of,
        size: ChunkSize = CHUNK_SIZES["cpu"],
    ) -> None:
        super().__init__(app, clients)
        self._pool, self._train, self._positions, self._size = pool, train, positions, size

    def send_and_sum(
        self,
        messages: Sequence[Message],
        aggregator: SumAggregator,
        *,
        timeout: float | None = None,
    ) -> UpdateSum:
        """Return what the clients' changes add up to; each chunk's total is added as soon as its turn comes."""
        total = UpdateSum({})
        for batch in self._batches(messages):
            for part in batch.done(self._pool, Add(self._train, aggregator), timeout):
                total = total if part is None else total + part
        return total

    def send_and_open(
        self, messages: Sequence[Message], agreement: Agreement, *, timeout: float | None = None
    ) -> SecretSum:
        """Return the sum that the clients make in secret.

        Raises:
            SecureAggregationError: If the round is lost.
            FederationError: If not all are told the same: only changes of one adapter add up.
        """
        batches = list(self._batches(messages))
        if len(batches) != 1:
            message = f"a secure sum needs one message for the whole cohort, got {len(batches)}"
            raise FederationError(message)
        batch = batches[0]
        first = batch.requests[0]
        work = Encode(self._train, agreement, first.round, seed_of(first.run))
        parts = [part for part in batch.done(self._pool, work, timeout) if part is not None]
        return work.open(list(batch.messages), parts, batch.parameters)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Return the replies, in the order of the messages."""
        messages = list(messages)
        training = [message for message in messages if message.metadata.message_type == MessageType.TRAIN]
        rest = [message for message in messages if message.metadata.message_type != MessageType.TRAIN]
        replies = super().send_and_receive(rest, timeout=timeout)
        for batch in self._batches(training):
            for update in batch.done(self._pool, Answers(self._train), timeout):
                replies += [] if update is None else batch.replies(update)
        place = {message.metadata.dst_node_id: index for index, message in enumerate(messages)}
        return sorted(replies, key=lambda reply: place[reply.metadata.src_node_id])

    def _batches(self, messages: Sequence[Message]) -> Iterator["_Batch"]:
        """Yield the messages of each content, in the order in which contents first come.

        Contents are compared by value: a strategy may build an equal one for each client. One that all share is read
        once.
        """
        read: dict[int, Hashable] = {}
        by_content: dict[Hashable, list[Message]] = {}
        for message in messages:
            content = message.content
            key = read[id(content)] = read.get(id(content)) or _value_of(content)
            by_content.setdefault(key, []).append(message)
        for same in by_content.values():
            content = same[0].content
            clients = [message.metadata.dst_node_id for message in same]
            whole = CohortRequest.of(content.config_records["config"], clients)
            positions = self._positions(whole.run, whole.clients)
            yield _Batch(
                {message.metadata.dst_node_id: message for message in same},
                [replace(whole, clients=chunk) for chunk in chunks_of(whole.clients, positions, self._size)],
                arrays_of(content, "arrays"),
                arrays_of(content, "extras"),
            )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Messages that say the same to different clients."""

    messages: Mapping[int, Message]
    requests: Sequence[CohortRequest]
    parameters: Parameters
    extras: Parameters

    def done(self, pool: WorkerPool, work: Work[T], timeout: float | None) -> Iterator[T | None]:
        """Yield the result of each request, as the pool does."""
        return pool.do(work, self.requests, self.parameters, self.extras, timeout)

    def replies(self, update: CohortUpdate) -> Iterator[Message]:
        """Yield each client's answer as a message."""
        for client, answer in update.each():
            yield _reply(self.messages[client], pack(answer))
        for client, why in update.failures.items():
            yield _reply(self.messages[client], Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, why))


def _value_of(content: RecordDict) -> Hashable:
    """Return a content's records as a value: config, and each array's name, type, shape and bytes."""
    arrays = tuple(
        (
            record,
            tuple((name, one.dtype, tuple(one.shape), one.data) for name, one in content.array_records[record].items()),
        )
        for record in sorted(content.array_records)
    )
    config = content.config_records["config"]
    return arrays, tuple((key, type(config[key]), repr(config[key])) for key in sorted(config))


def _reply(message: Message, content: RecordDict | Error) -> Message:
    message.metadata.__dict__["_message_id"] = message.metadata.message_id or uuid4().hex
    reply = Message(content, reply_to=message)
    reply.metadata.__dict__["_message_id"] = uuid4().hex
    return reply
