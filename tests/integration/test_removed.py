"""A run whose directory is removed or moved while it is worked on says so, and leaves nothing half-written."""

import shutil
from pathlib import Path

import pytest

from fedrec.core.errors import RunError
from simulations.options import RunOptions
from simulations.runner import resume, run
from tests.integration.conftest import NewRun
from tests.tiny import tiny

GONE = r"was removed or moved while it was worked on, .*`fedrec resume` it where it is now, or start a new run"


def remove_at(label: str, folder: Path):
    """Return a progress that removes a folder when work of this label is told for the first time."""

    def tell(found: str, done: int, total: int, note: str = "") -> None:
        if found == label and folder.is_dir():
            shutil.rmtree(folder)

    return tell


@pytest.mark.parametrize("engine", ["inprocess", "ray"])
def test_a_directory_that_is_removed_between_rounds(engine: str, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "run"
    options = RunOptions(engine=engine, out=out, cache=cache, workers=1)
    with pytest.raises(RunError, match=GONE):
        run(tiny(), options, remove_at("rounds", out))
    assert not out.exists()


def test_a_directory_that_is_removed_while_controls_are_fitted(start: NewRun, cache: Path) -> None:
    begun = start(tiny(evaluation={"controls": ("ease",)}))
    with pytest.raises(RunError, match=GONE):
        resume(begun.path, RunOptions(out=begun.path, cache=cache), remove_at("controls", begun.path))
    assert not begun.path.exists()
