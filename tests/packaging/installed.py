"""An environment that has the wheel: how it is made, and how commands are run in it."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUNDLED = ("clients", "server", "simulations")

Fedrec = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: str | Path, cwd: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=150, check=False, **settings
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def build(kind: str, source: Path, out: Path) -> Path:
    """Return the wheel or sdist of a source tree."""
    run(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", out, source, cwd=out)
    (built,) = out.glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[kind])
    return built


def install(wheel: Path, home: Path) -> Path:
    """Return the interpreter of a new environment that has the wheel, and this environment's dependencies.

    The dependencies are reached through a .pth file. Python does not follow .pth files behind a .pth file, so the
    checkout's own editable install stays out.
    """
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).stdout.strip())
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python
