"""A request to stop: looked at between rounds, and whenever other long work reports its progress."""

from pathlib import Path

from fedrec.core.errors import Interrupted
from fedrec.core.progress import Progress


class StopRequest:
    """A request to stop a run, not set at first.

    Args:
        run: Directory of the run, for the message that says how to go on.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.is_set = False
        self.finishing = ""
        """What will still be finished if a stop is requested now, in words; "" where the next step may be the last."""

    def set(self, *_: object) -> None:
        """Request a stop; usable as a signal handler."""
        self.is_set = True

    @property
    def answer(self) -> str:
        """What whoever wishes it is told at once."""
        what = f"finishing {self.finishing}" if self.finishing else "stopping at the next step; what is done is saved"
        return f"{what}; press Ctrl-C again to stop now"

    def raise_if_set(self) -> None:
        """Stop here if a stop was requested.

        Raises:
            Interrupted: If a stop was requested.
        """
        if self.is_set:
            raise Interrupted(self.run)

    def wrap(self, progress: Progress) -> Progress:
        """Return a progress for work that is simply done again on resume: telling it anything may stop the work."""

        def tell(label: str, done: int, total: int, note: str = "") -> None:
            progress(label, done, total, note)
            self.raise_if_set()

        return tell
