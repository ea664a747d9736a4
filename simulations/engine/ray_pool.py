"""Chunks of clients on Ray actors, one torch thread each: who works in the `ray` engine.

The parameters and extras go once a round into Ray's object store, and every chunk is handed a reference. Each actor
has one chunk in hand and one behind it, so that none waits for the server. Results are passed on in the chunks' order;
those that come early wait, and no chunk is handed out so far ahead that many could: memory goes with the actors, not
with the cohort.

An actor that dies is replaced and its chunks are done again: client work is a pure function of the chunk, so the
result is the same. A chunk that takes its actor with it twice is done client by client, and who kills alone, fails.
"""

import math
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from clients.cohort import CohortRequest
from fedrec.core.errors import FederationError
from simulations.engine.work import Parameters, Work

T = TypeVar("T")

IN_HAND = 2
"""Chunks that an actor has been handed: one to work on, one to go on with."""

DEATHS = 2
"""Actors that a chunk may take with it before its clients are asked one by one."""

START_SECONDS = 120.0
"""How long a round waits for a first actor."""

POLL_SECONDS = 0.5


class RayWorkerPool:
    """Actors of the Ray session that is open.

    Args:
        workers: How many.
        gpus: Share of a GPU that each takes.
    """

    def __init__(self, workers: int, gpus: float = 0.0) -> None:
        self._kind = _actor_kind(gpus)
        self._actors = [self._start() for _ in range(workers)]

    def close(self) -> None:
        """End the actors at once, whatever they are doing."""
        for actor in self._actors:
            ray.kill(actor.handle)

    def do(
        self,
        work: Work[T],
        requests: Sequence[CohortRequest],
        parameters: Parameters,
        extras: Parameters,
        timeout: float | None,
    ) -> Iterator[T | None]:
        """Yield the result of each request, in their order; None for what was not done within `timeout` seconds.

        Raises:
            FederationError: If no actor starts.
        """
        round_work = _RoundWork(work, requests, parameters, extras, timeout)
        last_answer = time.monotonic()
        try:
            for index in range(len(requests)):
                while index not in round_work.done and round_work.left > 0:
                    self._hand_out(round_work, up_to=index + IN_HAND * len(self._actors))
                    self._collect(round_work)
                    last_answer = time.monotonic() if any(actor.ready for actor in self._actors) else last_answer
                    if time.monotonic() > last_answer + START_SECONDS:
                        message = (
                            f"no Ray actor started within {START_SECONDS:.0f} s; does the cluster have a free CPU?"
                        )
                        raise FederationError(message)
                yield round_work.done.pop(index, None)
        finally:
            for place, actor in enumerate(self._actors):
                if actor.in_hand:  # nobody waits for it any more
                    ray.kill(actor.handle)
                    self._actors[place] = self._start()

    def _start(self) -> "_Actor":
        handle = self._kind.remote()
        return _Actor(handle, handle.begin.remote(sys.path))

    def _hand_out(self, round_work: "_RoundWork[Any]", up_to: int) -> None:
        """Give the next chunks to actors that have started, the idlest first."""
        while round_work.waiting and round_work.waiting[0] < up_to:
            free = [actor for actor in self._actors if actor.ready and len(actor.in_hand) < IN_HAND]
            if not free:
                return
            index = round_work.waiting.popleft()
            actor = min(free, key=lambda one: len(one.in_hand))
            actor.in_hand.append((round_work.send(actor.handle, round_work.requests[index]), index))

    def _collect(self, round_work: "_RoundWork[Any]") -> None:
        """Wait a little for something to happen, and take it in."""
        ray.wait([actor.owed for actor in self._actors if actor.owed is not None], timeout=POLL_SECONDS)
        for place, actor in enumerate(self._actors):
            try:
                while actor.owed is not None and ray.wait([actor.owed], timeout=0)[0]:
                    result = ray.get(actor.owed)
                    if actor.ready:
                        round_work.done[actor.in_hand.popleft()[1]] = result
                    actor.ready = True
            except RayTaskError:
                raise
            except RayError:
                self._replace(place, round_work)

    def _replace(self, place: int, round_work: "_RoundWork[Any]") -> None:
        """Start an actor in the place of a dead one and put its chunks back; the one it was at may be the cause."""
        chunks = [index for _, index in self._actors[place].in_hand]
        self._actors[place] = self._start()
        if chunks:
            round_work.deaths[chunks[0]] += 1
            if round_work.deaths[chunks[0]] >= DEATHS:
                round_work.done[chunks[0]] = self._one_by_one(place, round_work, round_work.requests[chunks[0]])
                del chunks[0]
        round_work.waiting.extendleft(reversed(chunks))

    def _one_by_one(self, place: int, round_work: "_RoundWork[T]", request: CohortRequest) -> T:
        """Return the result of a chunk whose clients are asked alone, of the actor in this place.

        Who is not done when the round's time is up is in no part: nothing came.
        """
        parts = []
        for alone in request.each():
            actor = self._actors[place]
            try:
                parts.append(ray.get(round_work.send(actor.handle, alone), timeout=round_work.left))
            except RayTaskError:
                raise
            except RayError as error:
                ray.kill(actor.handle)
                self._actors[place] = self._start()
                if isinstance(error, GetTimeoutError):
                    break
                parts.append(round_work.failed(alone, f"its worker died ({type(error).__name__})"))
        return round_work.work.join(parts)


@dataclass(eq=False)
class _Actor:
    """An actor, and the results that it owes, oldest first, with the places of their chunks."""

    handle: Any
    started: Any
    ready: bool = False
    in_hand: deque[tuple[Any, int]] = field(default_factory=deque)

    @property
    def owed(self) -> Any:
        """What can be waited for: the oldest result, or that it starts; None if it is idle."""
        if not self.ready:
            return self.started
        return self.in_hand[0][0] if self.in_hand else None


class _RoundWork(Generic[T]):
    """A round's chunks: what waits, what is done.

    Args:
        work: What is done with each.
        requests: The chunks.
        parameters: The global adapter.
        extras: What is sent beside it.
        timeout: Seconds until nobody waits any more; None for no end.
    """

    def __init__(
        self,
        work: Work[T],
        requests: Sequence[CohortRequest],
        parameters: Parameters,
        extras: Parameters,
        timeout: float | None,
    ) -> None:
        self.work, self.requests = work, requests
        self.waiting = deque(range(len(requests)))
        self.deaths: Counter[int] = Counter()
        self.done: dict[int, T | None] = {}
        self._parameters = parameters
        self._end = math.inf if timeout is None else time.monotonic() + timeout
        self._broadcast = ray.put((dict(parameters), dict(extras)))
        self._pickled = ray.put(cloudpickle.dumps(work))  # type: ignore[no-untyped-call]

    @property
    def left(self) -> float:
        """Seconds until nobody waits any more; 0 when that is so."""
        return max(0.0, self._end - time.monotonic())

    def send(self, handle: Any, request: CohortRequest) -> Any:
        """Hand a chunk to an actor and return what it will owe."""
        return handle.work.remote(self._pickled, request, self._broadcast)

    def failed(self, alone: CohortRequest, why: str) -> T:
        """Return the result of a client that never answers."""
        return self.work.failed(alone.clients[0], why, self._parameters)


def _actor_kind(gpus: float) -> Any:
    """Return the actor's class, which travels by value: a worker finds our modules only once it has our path."""

    class Worker:
        def begin(self, path: list[str]) -> None:
            sys.path[:] = [*path, *(place for place in sys.path if place not in path)]

        def work(self, pickled: bytes, request: Any, sent: Any) -> Any:
            return cloudpickle.loads(pickled)(request, *sent)

    return ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(Worker)
