"""Competitors, each in a process of its own: started once, warm, and standing still while others have their turn.

Two Ray sessions cannot be open in one process, and neither Ray nor Flower is idle when it has nothing to do: so a
competitor is a process group that is stopped (SIGSTOP) between its turns, Ray's processes included. Idle competitors
then cost nothing.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from fedrec.core.app import QUIET_DEFAULTS, app_root
from fedrec.core.errors import FedrecError
from simulations.benchmarks.engines.kept import Measurement

SETTLE_SECONDS = 0.5
"""What Ray's daemons get to catch up with their timers before the clock runs."""

CLOSE_SECONDS = 60.0
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Competitor(Protocol):
    """A competitor that is ready."""

    def run_round(self, number: int) -> Measurement:
        """Do the work of round `number` and tell how long it took."""


class Child(AbstractContextManager[Competitor]):
    """A competitor of `simulations.benchmarks.engines.child`.

    Args:
        name: What it is called when it fails.
        spec: What it does; see there.

    Raises:
        FedrecError: From `__enter__` and `run_round`, if it breaks down; with the end of what it wrote to standard
            error.
    """

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self._name, self._spec = name, spec

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="fedrec-context-")
        self._log = Path(self._home.name) / "log"
        command = [sys.executable, "-m", "simulations.benchmarks.engines.child", json.dumps(self._spec)]
        surroundings = {**QUIET_DEFAULTS, **os.environ, **THREADS, "FLWR_HOME": self._home.name}
        with self._log.open("w") as log:
            # A group of its own in our session: when we die, the system continues and hangs up a stopped one.
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=app_root(),
                env=surroundings,
                process_group=0,
            )
        try:
            self.ready = self._hear()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self._signal(signal.SIGSTOP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal(signal.SIGCONT)
        with suppress(BrokenPipeError):
            self._pipes[0].close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS if error is None else 1.0)
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._pipes[1].close()
        self._home.cleanup()

    def run_round(self, number: int) -> Measurement:
        """Let it do round `number`, awake."""
        self._signal(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)
        with suppress(BrokenPipeError):  # it has ended, which its pipe shows
            self._pipes[0].write(f"{number}\n")
            self._pipes[0].flush()
        answer = self._hear()
        self._signal(signal.SIGSTOP)
        return answer

    def _hear(self) -> Measurement:
        line = self._pipes[1].readline()
        answer: Measurement = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            end = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
            message = f"competitor {self._name} broke down: {answer['error']}\n{end}"
            raise FedrecError(message)
        return answer

    @property
    def _pipes(self) -> tuple[Any, Any]:
        return self._process.stdin, self._process.stdout

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
