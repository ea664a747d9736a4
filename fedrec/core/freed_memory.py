"""Memory that is free, and still the process's."""

import ctypes
import sys


def give_back() -> None:
    """Let the C library return what it holds free to the system.

    After training it keeps the pieces of a few hundred MB of scores, in which nothing large finds room: whatever needs
    a large piece next would come on top. Only glibc has this; elsewhere nothing happens.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
