"""A wish to stop: heard between rounds, and whenever other long work tells of its progress."""

from pathlib import Path

from fedrec.errors import Interrupted
from fedrec.progress import Progress


class Stop:
    """A wish to stop a run; nobody has it at first.

    Args:
        run: Directory of the run, for the message that says how to go on.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.wanted = False
        self.finishing = ""
        """What will still be finished if it is wished now, in words; "" where the next step may be the last."""

    def wish(self, *_: object) -> None:
        """Wish it; usable as a signal handler."""
        self.wanted = True

    @property
    def answer(self) -> str:
        """What whoever wishes it is told at once."""
        what = f"finishing {self.finishing}" if self.finishing else "stopping at the next step; what is done is saved"
        return f"{what}; press Ctrl-C again to stop now"

    def heed(self) -> None:
        """Stop here if that is wished.

        Raises:
            Interrupted: If it is.
        """
        if self.wanted:
            raise Interrupted(self.run)

    def heeding(self, progress: Progress) -> Progress:
        """Return a progress for work that is simply done again on resume: telling it anything may stop the work."""

        def tell(label: str, done: int, total: int, note: str = "") -> None:
            progress(label, done, total, note)
            self.heed()

        return tell
