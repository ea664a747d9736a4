"""What a finished run's test users are asked beside its own result: once a question, and kept in the run.

Whoever could ask again with other settings would pick by the test users. So the first answer stays: the same question
is answered from it, and another one is refused.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.own_code import search_also
from fedrec.evaluation.evaluator import Evaluator
from fedrec.experiment.config import canonical_json
from fedrec.privacy.disclosure import PRIVATE, RELEASED, Disclosure
from fedrec.run.directory import RunDirectory
from fedrec.run.recommender import OpenedRecommender, open_recommender


class FinishedRun:
    """A finished run with all that a question needs.

    Args:
        path: The run's directory.

    Raises:
        RunError: If the run is not finished, or its result is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.run = RunDirectory(path)
        self.run.summary()
        for folder in self.run.job.code_folders:
            search_also(folder)

    @cached_property
    def recommender(self) -> OpenedRecommender:
        """Its result."""
        return open_recommender(self.run.path)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Its evaluator, which knows of popularity what the run knew."""
        evaluator, last = Evaluator(self.run.job), self.run.latest_checkpoint()
        evaluator.learn_popularity({} if last is None else last.released)
        return evaluator

    @property
    def disclosure(self) -> Disclosure:
        """Who may see what its held-out users say: nobody outside a simulation where they are no volunteers."""
        return PRIVATE if self.run.job.validation.private else RELEASED


def kept_place(run: RunDirectory, name: str) -> Path:
    """Return where the answer to the question called `name` is kept: in the private part, whoever the users are."""
    return run.private / "asked" / f"{re.sub(r'[^A-Za-z0-9_]+', '-', name)}.json"


def asked_once(
    run: RunDirectory, name: str, asked: Mapping[str, Any], answer: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the answer to a question, from the run if it has been asked before.

    Args:
        run: The finished run; hold its lock.
        name: Of the question.
        asked: Its settings, as JSON has them.
        answer: Looks at the test users.

    Raises:
        RunError: If it was asked with other settings, or the kept answer is damaged.
    """
    place = kept_place(run, name)
    if not place.is_file():
        found = answer()
        place.parent.mkdir(exist_ok=True)
        write_whole(place, canonical_json({"asked": asked, "found": found}) + "\n")
    kept = _read(place)  # also what was just written, so that both times say the same
    if kept["asked"] != asked:
        before = ", ".join(f"{key} = {value}" for key, value in kept["asked"].items() if value != asked.get(key))
        message = (
            f"the test users of {run.path} were asked about {name} before, with {before}: to ask again with other "
            "settings would be to pick by them. Ask as before, leave the test users out (--no-test), or make a new run"
        )
        raise RunError(message)
    found_before: dict[str, Any] = kept["found"]
    return found_before


def _read(place: Path) -> dict[str, Any]:
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        return {"asked": dict(kept["asked"]), "found": dict(kept["found"])}
    except (ValueError, KeyError, TypeError) as error:
        message = f"{place} is damaged ({error}); restore it, or start a new run"
        raise RunError(message) from error
