"""Which fedrec this is: its version, and in a checkout the commit and whether the files are still the commit's."""

import os
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def version_number() -> str:
    """Return the version of the installed package."""
    try:
        return version("fedrec")
    except PackageNotFoundError:
        return "not installed: run from a checkout"


def version_text() -> str:
    """Return version and commit in a line."""
    return ", ".join([version_number(), *(f"{name} {value}" for name, value in revision().items())])


@cache
def revision(package: Path = PACKAGE) -> dict[str, str]:
    """Return the checkout's "commit" and its "uncommitted changes", "yes" or "no".

    Files that git does not know count as changes, since strategies are found by their place; ignored ones do not.

    Args:
        package: Folder of the package `fedrec`.

    Returns:
        Nothing where the package is not the top of a checkout, as in an installed wheel, or git cannot tell.
    """
    root = package.parent
    if not (root / ".git").exists():
        return {}
    try:
        commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit.strip(), "uncommitted changes": "yes" if changes else "no"}


def _git(root: Path, *arguments: str) -> str:
    # variables of a git hook that runs us name another repository
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    return done.stdout
