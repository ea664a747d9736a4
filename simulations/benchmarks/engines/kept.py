"""What a benchmark has measured so far: a line a repetition, on disk as soon as it is known.

An interruption costs the repetition in hand; a second start goes on with those that are missing. What was measured
under other settings, or with other versions, is never mixed with it: the file's name and its first line say which.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fedrec.core.errors import ConfigError
from fedrec.core.files import write_whole

Measurement = dict[str, Any]
"""Of one round: `seconds`, and whatever else a competitor tells."""


class Kept:
    """The answers in a file, one JSON value a line, the first of which says what is measured.

    Args:
        path: The file; made, or gone on with. A last line that an interruption tore is taken off.
        about: What is measured, and with what: as JSON knows it.

    Raises:
        ConfigError: If the file holds something else, or what is no JSON.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        whole = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        first = json.dumps(about)
        if whole and whole[0] != first:
            message = f"{path} holds what was measured under other settings; name another file, or remove it"
            raise ConfigError(message)
        try:
            self._lines: list[dict[str, Any]] = [json.loads(line) for line in whole[1:]]
        except ValueError as error:
            message = f"{path} cannot be read ({error}); remove it, and all is measured again"
            raise ConfigError(message) from error
        write_whole(path, "".join(f"{line}\n" for line in whole or [first]))

    @classmethod
    def at(cls, folder: Path, about: Mapping[str, Any]) -> Self:
        """Return what was measured of this so far, in a file of its own in the folder."""
        name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]
        return cls(folder / f"{about['benchmark']}-{name}.jsonl", about)

    def answers(self, comparison: str, competitor: str) -> list[Measurement]:
        """Return a competitor's answers in a comparison, in the order of its repetitions."""
        return [
            line["answer"]
            for line in self._lines
            if (line["comparison"], line["competitor"]) == (comparison, competitor)
        ]

    def add(self, comparison: str, competitor: str, answer: Measurement) -> None:
        """Keep the answer of a competitor's next repetition; on disk when this returns."""
        line = {"comparison": comparison, "competitor": competitor, "answer": answer}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines.append(line)
