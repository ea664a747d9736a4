"""Controls that are finished, one file each in a run's `private/controls/`: they can take longer than the rounds.

A run that ends among its controls goes on with the next one. All of a control lies in the private part: what of it may
be published, the summary says, by the class that is kept with it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from safetensors import SafetensorError
from torch import Tensor

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.progress import Progress
from fedrec.evaluation.controls.base import Control
from fedrec.evaluation.statistics.stored import from_tensors, to_tensors
from fedrec.privacy.disclosure import Disclosure
from fedrec.run.tensor_file import checked_bytes, read_checked

DAMAGE = (SafetensorError, OSError, ValueError, KeyError)
"""What reading a file raises whose bytes are not those that were written."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A finished control, and the seconds that it took."""

    control: Control
    seconds: float


@dataclass(frozen=True)
class KeptControls:
    """The finished controls of a run.

    Attributes:
        folder: Where they lie; made when the first one is kept.
        fingerprint: Of the run's experiment: a file of another one's is none of this run's.
    """

    folder: Path
    fingerprint: str

    def find(self, name: str, progress: Progress) -> Kept | None:
        """Return the control called `name`, to the bits that it was kept with; None if it must be made.

        A file that is damaged, or is another control's, is told and counts as none: the control is made again.
        """
        try:
            return self._open(name)
        except DAMAGE as error:
            progress("note", 0, 0, f"{self._path(name).name} is damaged ({error}); the control is made again")
            return None

    def read(self, name: str) -> Kept | None:
        """Return the control called `name` of a finished run; None if the run has none.

        Raises:
            RunError: If its file is damaged, or is another control's.
        """
        try:
            return self._open(name)
        except DAMAGE as error:
            message = f"{self._path(name)} is damaged ({error}); restore it, or `fedrec run` the experiment anew"
            raise RunError(message) from error

    def keep(self, name: str, kept: Kept) -> None:
        """Write a control, whole or not at all."""
        tensors, facts = _written(kept)
        texts = {"about": self._about(name), "facts": json.dumps(facts)}
        write_whole(self._path(name), checked_bytes(tensors, texts))

    def _open(self, name: str) -> Kept | None:
        path = self._path(name)
        return _read(path, self._about(name)) if path.is_file() else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='')}.safetensors"  # a name may be package.module:Class

    def _about(self, name: str) -> str:
        return f"{name} of {self.fingerprint}"


def _written(kept: Kept) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what differs by user as tensors, all else as facts; nan and infinity survive both."""
    tensors, test = to_tensors(kept.control.test)
    control = kept.control
    facts = {"note": control.note, "disclosure": control.disclosure.value, "reference": control.reference}
    return tensors, {**facts, "seconds": kept.seconds, "test": test}


def _read(path: Path, about: str) -> Kept:
    tensors, texts = read_checked(path)
    if texts["about"] != about:
        message = "it is of another control or run"
        raise SafetensorError(message)
    facts = json.loads(texts["facts"])
    control = Control(
        from_tensors(tensors, facts["test"]), facts["note"], Disclosure(facts["disclosure"]), facts["reference"]
    )
    return Kept(control, facts["seconds"])
