"""Signals that ask a run to end: the first is followed as soon as nothing is lost, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fedrec.core.progress import Progress
from server.stop import StopRequest

AT_ONCE: dict[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""What asks a run to end, and what the second such signal does."""


@contextmanager
def stoppable(run: Path, progress: Progress) -> Iterator[StopRequest]:
    """Turn the first signal to end into a request to stop as soon as nothing is lost; a second one ends at once.

    Outside of the main thread no signal can be caught, and none is.

    Args:
        run: Directory of the run.
        progress: Called at once, from another thread, what the run will still finish.
    """
    stop = StopRequest(run)

    def request(signum: int, frame: object) -> None:
        stop.set(signum, frame)
        for number, handler in AT_ONCE.items():
            signal.signal(number, handler)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, request) for number in AT_ONCE}
    try:
        with _answered(lambda: progress("note", 0, 0, stop.answer)):
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _answered(answer: Callable[[], None]) -> Iterator[None]:
    """Call `answer` in a thread of its own as soon as the first signal to end arrives.

    A handler would come late and at a bad time: Python runs it in the main thread when the library in hand returns, and
    maybe in the middle of a print. The signal's number, though, is written to a file descriptor at once.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_listen, args=(reader, answer), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)  # which ends the thread, if nothing has
        thread.join()
        os.close(reader)


def _listen(reader: int, answer: Callable[[], None]) -> None:
    while number := os.read(reader, 1):
        if number[0] in AT_ONCE:
            answer()
            return
