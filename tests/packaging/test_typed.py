"""A strategy of the user's own beside an installed fedrec: unit-tested as any class is, and type-checked."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.installed import BUNDLED, run

STRATEGY = '''
"""Half a step, and its unit test."""

import numpy as np

from server.base import MeanStrategy
from server.aggregation.update import Arrays


class Half(MeanStrategy):
    """Goes half of the way."""

    def step(self, update: Arrays) -> Arrays:
        """Return half of the mean change."""
        return {name: np.asarray(value / 2, dtype=np.float32) for name, value in update.items()}


if __name__ == "__main__":
    halved = Half.step(Half.__new__(Half), {"w": np.array([1.0, -4.0], np.float32)})
    assert halved["w"].tolist() == [0.5, -2.0]  # 1 / 2, -4 / 2
'''


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    file = tmp_path / "half.py"
    file.write_text(STRATEGY, encoding="utf-8")
    return file


@pytest.mark.parametrize("first", ["server.base", "clients.app"])
def test_any_module_can_be_imported_first_and_no_command_line_starts(
    first: str, python: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    code = f"import sys, {first}; print('simulations.cli.app' in sys.modules, {first}.__file__)"
    started, place = run(python, "-c", code, cwd=tmp_path, env=environment).stdout.split(maxsplit=1)
    assert started == "False"
    assert Path(place.strip()).is_relative_to(python.parents[1])


def test_a_strangers_package_of_the_same_name_is_not_hidden(
    python: Path, elsewhere: Path, environment: dict[str, str]
) -> None:
    code = f"""
for name in {BUNDLED}:
    try:
        __import__(name)
    except ImportError as error:
        print(error)
"""
    assert run(python, "-c", code, cwd=elsewhere, env=environment).stdout.count("a stranger was imported") == 3


def test_a_strategy_is_unit_tested(python: Path, strategy: Path, environment: dict[str, str]) -> None:
    run(python, strategy, cwd=strategy.parent, env=environment)


def test_a_strategy_is_type_checked_and_a_wrong_one_found_out(python: Path, strategy: Path) -> None:
    wrong = STRATEGY.replace("(self, update: Arrays)", "(self, update: int)").replace("update.items()", "{}.items()")
    strategy.with_name("wrong.py").write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(python), "."]
    done = subprocess.run(command, cwd=strategy.parent, capture_output=True, text=True, timeout=150, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert {error.partition(":")[0] for error in errors} == {"wrong.py"}, done.stdout
    assert 'incompatible with supertype "server.base.Strategy"' in errors[0]
