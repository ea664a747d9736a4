"""A run whose strategy is a module of the user's own goes on from any folder, or says where the module was."""

import shutil
import sys
from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError, FederationError
from fedrec.core.progress import silent
from fedrec.models.adapters import parameters_sha256
from fedrec.run.directory import RunDirectory
from simulations.options import RunOptions
from simulations.runner import resume, run
from tests.tiny import tiny

MODULE = "strategy_of_this_test"
STRATEGY = """
from pathlib import Path

from fedrec.core.errors import FederationError
from server.base import MeanStrategy


class Stops(MeanStrategy):
    def step(self, update):
        if Path(__file__).with_name("stop").exists():
            raise FederationError("stopped")
        return update
"""


def left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a new process that knows nothing of the strategy."""
    sys.modules.pop(MODULE, None)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("/mine")])


@pytest.fixture
def stopped(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that failed in its first round; its strategy lies in the folder `mine`."""
    (mine := tmp_path / "mine").mkdir()
    (mine / f"{MODULE}.py").write_text(STRATEGY, encoding="utf-8")
    (mine / "stop").touch()
    left(monkeypatch)
    monkeypatch.setattr(sys, "path", [*sys.path, str(mine)])
    experiment = tiny(strategy={"name": f"{MODULE}:Stops", "options": {}})
    with pytest.raises(FederationError, match="stopped"):
        run(experiment, RunOptions(out=tmp_path / "run", cache=cache), silent)
    (mine / "stop").unlink()
    left(monkeypatch)
    return tmp_path / "run"


def test_it_goes_on_from_any_folder(stopped: Path, cache: Path) -> None:
    assert RunDirectory(stopped).job.code_folders == [stopped.parent / "mine"]
    assert resume(stopped, RunOptions(out=stopped, cache=cache), silent).is_finished


def test_where_the_module_was_is_said_when_it_is_gone(stopped: Path, cache: Path) -> None:
    shutil.rmtree(stopped.parent / "mine")
    with pytest.raises(ConfigError, match=rf"No module named '{MODULE}'.*looked in .*{stopped.parent / 'mine'} and"):
        resume(stopped, RunOptions(out=stopped, cache=cache), silent)


def test_a_registered_strategy_lies_nowhere(cache: Path, tmp_path: Path) -> None:
    done = run(tiny(rounds=1, privacy={"epsilon": float("inf")}), RunOptions(out=tmp_path / "run", cache=cache), silent)
    assert done.job.code_folders == []
    assert (done.path / "run.json").read_text(encoding="utf-8") == '{"name": "movielens"}'


RULE = """
import numpy as np

from fedrec.training.rules.base import Rule
from server.base import MeanStrategy


class Turned(Rule):
    def __init__(self, work, factor):
        super().__init__(work)
        self.factor = factor

    def extras_like(self, before):
        return dict(before)

    def kept_start(self, before):
        return dict(before)

    def init(self, before, extras, kept):
        return extras, kept

    def direction(self, gradient, parameters, state):
        extras, kept = state
        return {n: self.factor * g + extras[n] + 0.01 * kept[n] for n, g in gradient.items()}

    def final(self, before, after, state):
        return {}, dict(after)


class Turns(MeanStrategy):
    rule = f"{__name__}:Turned"

    def client_config(self):
        return {"factor": -0.5}

    def extras(self):
        return {name: np.full_like(value, 0.001) for name, value in self.current.items()}
"""


@pytest.mark.slow
@pytest.mark.parametrize("named", ["rule_of_this_test:Turns", "mine/rule_of_this_test.py:Turns"])
def test_workers_find_a_client_rule_in_the_file_of_its_strategy(
    named: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine := tmp_path / "mine").mkdir()
    (mine / "rule_of_this_test.py").write_text(RULE, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(mine)])
    name = str(tmp_path / named) if ".py" in named else named
    experiment = tiny(strategy={"name": name, "options": {}})
    found = []
    for engine in ("inprocess", "ray"):
        options = RunOptions(engine, tmp_path / engine, cache, workers=1)
        found.append(run(experiment, options, silent).latest_checkpoint(silent))
        assert (tmp_path / engine / "private" / "clients" / "rule" / "rounds.u4").exists()
    here, there = (parameters_sha256(last.parameters) for last in found if last is not None)
    assert here == there
    plain = run(tiny(), RunOptions("inprocess", tmp_path / "plain", cache), silent).latest_checkpoint(silent)
    assert plain is not None
    assert here != parameters_sha256(plain.parameters)
