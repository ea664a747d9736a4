"""House rules that a reviewer would otherwise have to remember, checked on what git tracks."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from fedrec.experiment.file import load_experiment
from fedrec.experiment.layers import scenario_files
from fedrec.privacy.checks import check
from server.base import averages
from simulations.plugins import SCENARIOS, registries_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("fedrec", "clients", "server", "simulations")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOST_LINES = 400
MOST_BYTES = 500_000
BINARY = {".bin", ".ckpt", ".csv", ".npy", ".npz", ".onnx", ".parquet", ".pkl", ".pt", ".pth", ".safetensors", ".tsv"}


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@cache
def tracked() -> list[Path]:
    """Every file that git tracks; tests that ask are skipped where there is no git, as in an unpacked sdist."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"not a git checkout ({error})")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_module_is_longer_than_one_story() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not named([path for path, length in lengths.items() if length > MOST_LINES])


def test_no_module_leaves_work_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert not named([path for path in MODULES if later.search(path.read_text(encoding="utf-8"))])


def test_no_large_file_is_tracked() -> None:
    assert not named([path for path in tracked() if path.stat().st_size > MOST_BYTES])


def test_no_data_and_no_weights_are_tracked_outside_tests() -> None:
    assert not named([p for p in tracked() if p.suffix in BINARY and p.relative_to(ROOT).parts[0] != "tests"])


def test_no_file_names_a_path_of_one_machine() -> None:
    # Written in two halves, so that this file does not find itself.
    private = re.compile("/(" + "root|work|home/[a-z]+" + ")/")
    texts = [path for path in tracked() if path.suffix in {"", ".cfg", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}]
    assert not named([path for path in texts if private.search(path.read_text(encoding="utf-8", errors="ignore"))])


@pytest.mark.parametrize("name", sorted(scenario_files(SCENARIOS)))
def test_every_scenario_is_valid(name: str) -> None:
    registries = registries_of()
    experiment = load_experiment(name, [], SCENARIOS, registries)
    strategy = registries["strategy.name"].get(experiment.strategy.name)
    check(experiment, linear_strategy=averages(strategy))


def imported(path: Path) -> set[str]:
    """Return the top-level names that a module imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def normal(requirement: str) -> str:
    """Return a requirement's distribution name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [entry for name, entries in project["optional-dependencies"].items() if name != "dev" for entry in entries]
    declared = {normal(entry) for entry in (*project["dependencies"], *extras)}
    foreign = set().union(*(imported(path) for path in MODULES)) - sys.stdlib_module_names - set(PACKAGES)
    providers = packages_distributions()
    undeclared = {name for name in foreign if not {normal(d) for d in providers.get(name, [name])} & declared}
    # Two come with a declared dependency that chooses their version (pydantic, flwr[simulation]); pfl-research and
    # implicit, rivals of the benchmarks, run in environments of their own; contracts that tests inherit need the pytest
    # of those tests.
    assert not sorted(undeclared - {"pydantic_core", "ray", "pfl", "implicit", "pytest"})


def test_every_declared_dependency_is_pinned_for_the_measured_set_up() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = [*project["dependencies"], *(e for es in project["optional-dependencies"].values() for e in es)]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line) for line in lines if "==" in line and not line.startswith("#")}
    assert not sorted({normal(entry) for entry in everything} - pinned - {"fedrec"})
