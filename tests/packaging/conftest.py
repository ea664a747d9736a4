"""The wheel, built and installed once, and what surrounds its commands."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.packaging.installed import BUNDLED, ROOT, Fedrec, build, install, run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel."""
    return install(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another directory, with a stranger's packages of the same names as ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in BUNDLED:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('a stranger was imported')", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def environment(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return {**kept, "FEDREC_CACHE": str(cache), "COLUMNS": "120", "TERM": "dumb"}


@pytest.fixture(scope="session")
def fedrec(python: Path, elsewhere: Path, environment: dict[str, str]) -> Fedrec:
    """The installed command, called in the folder `elsewhere`."""

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(python.with_name("fedrec"), *arguments, cwd=elsewhere, env=environment)

    return call
