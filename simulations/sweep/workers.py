"""Jobs done by worker processes, a process a job: one that fails, or is killed, takes nothing else with it.

Where processes can be forked off a clean server a worker imports nothing anew. It gives all its memory back, and ends
with whoever started it, so that nobody works on in secret after a `kill -9`. Ctrl-C is handed on: the first lets each
worker save what it has in hand, the second stops it at once.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process, reduction
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Literal, TypeVar

from fedrec.core.errors import FedrecError, Interrupted

J = TypeVar("J")

Tell = Callable[[Any], None]

PRELOADED = [
    "fedrec.reporting.summary",
    "fedrec.run.preparation",
    "flwr.clientapp",
    "flwr.serverapp",
    "simulations.sweep.trial",
]
"""What workers need and what takes seconds to import; what cannot be found this early is imported later."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended; kind, message and trace are of what went wrong."""

    state: Literal["finished", "failed", "interrupted"]
    kind: str = ""
    message: str = ""
    trace: str = ""


def worker_context() -> Any:
    """Return how workers are started: forked off a server that has imported all and computed nothing, or anew."""
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@dataclass
class WorkerPool(Generic[J]):
    """Does jobs, several at once.

    Attributes:
        work: What a worker does with a job; what it tells is handed on. Function and jobs can be pickled.
        workers: Most processes at once.
        lock: Descriptor of a locked file; workers hold on to it, so the lock outlives a killed parent as they do.
        context: How processes are started (see `worker_context`).
        stopping: Whether an interrupt came; no job is begun any more.
    """

    work: Callable[[J, Tell], None]
    workers: int
    lock: int
    context: Any = field(default_factory=worker_context)
    stopping: bool = False
    _running: dict[Connection, tuple[J, Any]] = field(default_factory=dict)

    def __call__(self, jobs: Sequence[J], report: Callable[[J, Any], None]) -> Iterator[tuple[J, Outcome]]:
        """Yield each job with its outcome as it ends; a job that was never begun is not yielded."""
        waiting = list(jobs)
        with self._interrupts():
            while self._running or (waiting and not self.stopping):
                while waiting and len(self._running) < self.workers and not self.stopping:
                    self._begin(waiting.pop(0))
                for connection in wait(list(self._running)):
                    yield from self._receive(connection, report)  # type: ignore[arg-type] # it is one of ours

    def _begin(self, job: J) -> None:
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_be_worker, args=(self.work, job, sender, _Descriptor(self.lock)))
        process.start()
        sender.close()
        self._running[receiver] = (job, process)

    def _receive(self, connection: Connection, report: Callable[[J, Any], None]) -> Iterator[tuple[J, Outcome]]:
        job, process = self._running[connection]
        try:
            received = connection.recv()
        except (EOFError, OSError):
            process.join()
            received = Outcome("interrupted") if self.stopping else _death(process.exitcode)
        if not isinstance(received, Outcome):
            report(job, received)
            return
        process.join()
        connection.close()
        del self._running[connection]
        yield job, received

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Hand interrupts on to the workers; end those that are left if the caller goes away."""

        def interrupt(signum: int, frame: object) -> None:
            del signum, frame
            self.stopping = True
            for _, process in self._running.values():
                os.kill(process.pid, signal.SIGINT)

        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, interrupt) if main else None
        try:
            yield
        finally:
            for _, process in self._running.values():
                process.kill()
                process.join()
            if main:
                signal.signal(signal.SIGINT, before)


class _Descriptor:
    """An open file on its way to a worker, however that is started."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (reduction.DupFd(self.number),)


def _arrived(sent: Any) -> _Descriptor:
    return _Descriptor(sent.detach())


def _be_worker(work: Callable[[J, Tell], None], job: J, sender: Connection, lock: _Descriptor) -> None:
    del lock  # it stays open as long as this process lives
    os.setpgrp()  # a terminal interrupts whole groups, and the parent hands interrupts on already
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(job, sender.send)
        outcome = Outcome("finished")
    except (Interrupted, KeyboardInterrupt):
        outcome = Outcome("interrupted")
    except FedrecError as error:
        outcome = Outcome("failed", type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported and stops nobody else
        outcome = Outcome("failed", type(error).__name__, str(error), traceback.format_exc())
    sender.send(outcome)


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _death(code: int | None) -> Outcome:
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended by itself with code {code}"
    return Outcome("failed", "WorkerDied", f"its process {how}; if memory is short, take fewer --workers")
