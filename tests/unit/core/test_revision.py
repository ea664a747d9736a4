"""The version with its commit, in a checkout only."""

import json
import subprocess
from pathlib import Path

from typer.testing import CliRunner

from fedrec.core.revision import PACKAGE, revision
from fedrec.run.environment import environment
from simulations.cli.app import app

ROOT = Path(__file__).parents[3]


def git(root: Path, *arguments: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(
        ["git", "-C", str(root), *author, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_checkout_has_its_commit_and_says_whether_files_changed(tmp_path: Path) -> None:
    package = tmp_path / "fedrec"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert revision(package) == {"commit": head, "uncommitted changes": "no"}
    revision.cache_clear()
    (package / "new.py").write_text("")
    assert revision(package) == {"commit": head, "uncommitted changes": "yes"}


def test_what_is_installed_has_no_commit_also_inside_somebody_elses_checkout(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    package = tmp_path / "lib" / "site-packages" / "fedrec"
    package.mkdir(parents=True)
    assert revision(package) == {}


def test_a_checkout_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert revision(tmp_path / "fedrec") == {}


def test_the_version_is_an_option_and_a_command_with_the_commit_that_runs_record() -> None:
    known = revision()
    asked = CliRunner().invoke(app, ["--version"])
    assert asked.exit_code == 0
    assert asked.stdout.startswith("fedrec ")
    assert json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout).items() >= known.items()
    assert environment().items() >= known.items()
    assert all(value in asked.stdout for value in known.values())


def test_the_package_is_the_folder_fedrec_wherever_this_module_lies_in_it() -> None:
    assert PACKAGE == ROOT / "fedrec"
    if (ROOT / ".git").exists():
        assert revision()["commit"] == git(ROOT, "rev-parse", "HEAD")
