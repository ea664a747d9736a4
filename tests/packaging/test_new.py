"""Plug-ins that an installed fedrec wrote into an empty folder: their tests pass, and one run uses all of them."""

import json
import subprocess
from pathlib import Path

import pytest

from simulations.new.files import USES
from tests.packaging.installed import run
from tests.packaging.test_readme import SMALL

RUN = """
extends = "smoke"
[[transforms]]
name = "./my_transform.py:MyTransform"
[[transforms]]
name = "./my_attack.py:MyAttack"
options = { share = 0.5 }
[data]
name = "./my_source.py:MY_SOURCE"
path = "shop"
[federation]
clients = 4
[strategy]
name = "./my_rule.py:MyRule"
[task]
name = "./my_task.py:MyTask"
[model]
name = "./my_model.py:MyModel"
[adapter]
name = "full"
"""


@pytest.fixture(scope="module")
def folder(python: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plug-in of each kind."""
    place = tmp_path_factory.mktemp("mine")
    code = f"""
import subprocess, sys
from simulations.new.files import USES
from fedrec.__main__ import main
for kind in {list(USES)!r}:
    sys.argv = ["fedrec", "new", kind, "my_" + kind, "--json"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (kind, end.code)
"""
    run(python, "-c", code, cwd=place, env=environment)
    return place


def test_each_kind_is_two_files(folder: Path) -> None:
    wanted = {f"{prefix}my_{kind}.py" for kind in USES for prefix in ("", "test_")}
    assert {path.name for path in folder.glob("*.py")} == wanted


@pytest.mark.timeout(600)
def test_their_tests_pass_as_they_were_written(folder: Path, python: Path, environment: dict[str, str]) -> None:
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_one_run_uses_all_of_them_by_name(folder: Path, python: Path, environment: dict[str, str]) -> None:
    (shop := folder / "shop").mkdir()
    events = [f"{user},{(user + step * step) % 20},{step},{1 + step % 5}" for user in range(60) for step in range(8)]
    (shop / "events.csv").write_text("\n".join(["user,item,time,value", *events, ""]), encoding="utf-8")
    items = [f"{item},item {item}" for item in range(20)]
    (shop / "items.csv").write_text("\n".join(["item,title", *items, ""]), encoding="utf-8")
    (folder / "all.toml").write_text(RUN, encoding="utf-8")
    command = [python.with_name("fedrec"), "run", "all.toml", *SMALL, "--json"]
    summary = json.loads(run(*command, "--out", "one", cwd=folder, env=environment).stdout)
    assert summary["metrics"]["test"]["last20"]
    strategy = "strategy.name=./my_strategy.py:MyStrategy"
    other = json.loads(run(*command, "--set", strategy, "--out", "other", cwd=folder, env=environment).stdout)
    assert other["parameters_sha256"] != summary["parameters_sha256"]
