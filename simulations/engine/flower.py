"""Flower's own simulation runtime: Ray actors, one client a node.

Flower waits for its clients without a bound: one that never returns would hold the run for ever, and an actor whose
process died would swallow every later task. So each task watches its own message's time to live and ends its process
when nobody waits any more, and Ray starts an actor anew that has died and tries its task once more: client work is
a pure function, so doing it twice changes nothing.
"""

import os
import sys
import time
from contextlib import redirect_stdout
from threading import Event, Timer
from typing import Any, TextIO

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp

from clients.app import app as client_app
from fedrec.core.errors import FederationError
from server.grids import ClientGrid
from simulations.engine.answering import answer
from simulations.engine.base import ENGINES, ServerWork
from simulations.engine.ray_session import ray_session
from simulations.options import RunOptions

ACTOR_OPTIONS: dict[str, Any] = {
    "num_cpus": 1,
    "num_gpus": 0.0,
    "max_restarts": -1,
    "max_task_retries": 1,
}
"""Flower hands what it calls a client's resources to Ray as they are."""


class Bounded(ClientApp):
    """A ClientApp that answers while its answer is waited for, or whose process ends.

    Args:
        app: The ClientApp that does the work.
    """

    def __init__(self, app: ClientApp) -> None:
        super().__init__()
        self._app = app

    def __call__(self, message: Message, context: Context) -> Message:
        """Return the app's answer."""
        left = message.metadata.created_at + message.metadata.ttl - time.time()
        if left <= 0:
            return Message(Error(ErrorCode.MESSAGE_UNAVAILABLE, "reached only when time was up"), reply_to=message)
        watch = Timer(left, os._exit, [1])
        watch.daemon = True
        watch.start()
        try:
            return answer(self._app, message, context)
        finally:
            watch.cancel()


@ENGINES.register("flower")
def flower(work: ServerWork, clients: int, options: RunOptions) -> None:
    """Run the server's work on a Flower simulation with one supernode a client."""
    simulate(work, client_app, clients, options.workers or os.cpu_count() or 1)


def simulate(work: ServerWork, app: ClientApp, clients: int, workers: int) -> None:
    """Run the server's work on a Flower simulation.

    Args:
        work: Gets a grid of the clients' numbers.
        app: What each client does.
        clients: Number of supernodes.
        workers: Number of Ray actors.

    Raises:
        FederationError: If Flower or Ray fails; whatever `work` raises comes out as it is.
    """
    from flwr.simulation import run_simulation  # brings Ray

    gone = Event()
    raised: list[Exception] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        del context
        try:
            work(ClientGrid(grid, clients, gone))
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread
            raised.append(error)

    with redirect_stdout(_Sieve(sys.stdout)), ray_session(workers):
        try:
            run_simulation(
                server_app,
                Bounded(app),
                num_supernodes=clients,
                backend_config={"client_resources": ACTOR_OPTIONS},
            )
        except Exception as error:
            if not raised:
                message = f"Flower's simulation failed: {error.__cause__ or error}; see Ray's logs in /tmp/ray"
                raise FederationError(message) from error
        finally:
            gone.set()
    if raised:
        raise raised[0]


class _Sieve:
    """Standard output without what Ray's listener prints there of its retries: that is the place of results.

    Args:
        stream: Standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ends_line = False

    def write(self, text: str) -> int:
        """Write `text`, unless it comes from Ray or is the end of such a line."""
        ours = "(raylet)" not in text and not (self._ends_line and text == "\n")
        self._ends_line = "(raylet)" in text
        return self._stream.write(text) if ours else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
