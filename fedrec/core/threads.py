"""One thread for training: sums of gradients then run in one order, so that the same seed gives the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of this process.

    Several threads add gradients in whatever order they finish, so their last bits differ from run to run; for
    models of this size they are slower, too, and the more so on busy cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
