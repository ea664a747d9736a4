"""Every `fedrec` and `flwr` command of the README is run: from an installed wheel, in a folder that was empty.

Lines of ```bash blocks count, and commands within a sentence (`fedrec audit smoke`). What they name is put there: the
README's own files, a table of books, and an experiment called my.toml. A command that nobody said how to run fails.

One process of the installed interpreter runs them all, since importing what they need takes longer than most of them.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packaging.installed import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(README)

SMALL = (
    "--set=rounds=1",
    "--set=text.layers=1",
    "--set=text.dimensions=16",
    "--set=model.width=16",
    "--set=model.layers=1",
    "--set=model.window=10",
    "--set=split.public=0.7",
    "--set=model.base=random",
    "--set=evaluation.controls=[]",
    "--set=evaluation.groups=[]",
)
"""A run as it is asked for takes minutes; none of these settings changes which code a command reaches."""

EXTRA: dict[str, tuple[str, ...]] = {
    # Ray and Flower take half a minute to start; tests/integration plays both against this engine.
    "fedrec run": (*SMALL, "--engine=inprocess"),
    "fedrec sweep movielens --over training.lr=0.1,0.3,1 --draw-trials 10": (*SMALL, "--draw-trials=1", "--workers=1"),
    # The last word on an axis counts: one epsilon and one seed instead of 18 trials.
    "fedrec sweep": (*SMALL, "--over=privacy.epsilon=8", "--over=seed=0", "--workers=1"),
    "fedrec attack membership": (*SMALL, "--epsilon=8", "--models=4"),
    "fedrec attack recovery": (*SMALL, "--epsilon=inf", "--victims=2", "--set=federation.partition=users"),
    "fedrec audit": (*SMALL, "--canaries=20"),
    **dict.fromkeys(
        ("fedrec resume", "fedrec report", "fedrec list", "fedrec new", "fedrec data", "fedrec privacy"), ()
    ),
}
"""What is added to a command, by how it begins; nothing where it is quick as it stands."""

ELSEWHERE = ("make ", "export ", "flwr run ")
"""`make` is what CI does; Flower's command and what it exports have a test of their own below."""

PROCESS = """
import json, os, sys
from fedrec.__main__ import main

def answer():
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what commands print goes to the log
    for line in sys.stdin:
        sys.argv = ["fedrec", *json.loads(line)]
        try:
            main()
        except SystemExit as end:
            print(json.dumps(end.code), file=replies, flush=True)

if __name__ == "__main__":  # a sweep's workers import this file
    answer()
"""
"""Runs the command line as the installed script does, once for each line that it reads."""

Command = Callable[..., tuple[object, str]]


def lines() -> list[str]:
    """Return the README's commands in their order, each once."""
    found = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines() if line.strip()]
    found += re.findall(r"`(fedrec [a-z][^`\n]*)`", BLOCK.sub("", README))
    return list(dict.fromkeys(shlex.join(shlex.split(line, comments=True)) for line in found))


def put_files(folder: Path) -> None:
    """Write what the README's commands name."""
    (strategy,) = (text for language, text in BLOCKS if language == "python")
    (books,) = (text for language, text in BLOCKS if language == "toml" and text.startswith("# books.toml"))
    (folder / "sign_mean.py").write_text(strategy, encoding="utf-8")
    (folder / "books.toml").write_text(books, encoding="utf-8")
    (folder / "my.toml").write_text('extends = "smoke"\n', encoding="utf-8")
    (folder / "goodbooks").mkdir()
    items = [f"{item},A book about {item},Author {item % 7}" for item in range(40)]
    rows = [f"{user},{(user + step * step) % 40},4" for user in range(120) for step in range(6)]
    (folder / "goodbooks" / "books.csv").write_text("\n".join(["book_id,title,authors", *items]), encoding="utf-8")
    (folder / "goodbooks" / "ratings.csv").write_text("\n".join(["user_id,book_id,rating", *rows]), encoding="utf-8")


@pytest.fixture(scope="module")
def command(python: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Run one command in the folder; return its exit code and what it printed."""
    folder, beside = tmp_path_factory.mktemp("readme"), tmp_path_factory.mktemp("process")
    put_files(folder)
    (beside / "process.py").write_text(PROCESS, encoding="utf-8")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        (beside / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen([python, beside / "process.py"], cwd=folder, env=environment, stderr=log, **pipes) as process,
    ):

        def call(*arguments: str) -> tuple[object, str]:
            start = (beside / "log").stat().st_size
            print(json.dumps(arguments), file=process.stdin, flush=True)
            reply = process.stdout.readline()
            text = (beside / "log").read_text(encoding="utf-8")[start:]
            return json.loads(reply or '"the process ended"'), text

        yield call
        process.stdin.close()


def extra(line: str) -> tuple[str, ...]:
    """Return what is added to a command; a command that is not known is an error."""
    found = [added for start, added in EXTRA.items() if f"{line} ".startswith(f"{start} ")]
    assert found, f"`{line}` is new in the README: say in EXTRA how it is run here"
    return found[0]


@pytest.mark.parametrize("line", [line for line in lines() if not line.startswith(ELSEWHERE)])
def test_a_command_of_the_readme_runs(line: str, command: Command) -> None:
    code, printed = command(*shlex.split(line)[1:], *extra(line))
    assert code == 0, printed


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def started_with(home: Path) -> list[int]:
    """Return the processes whose Flower home this is: the SuperLink that `flwr run` leaves running, and its own."""
    wanted, found = f"FLWR_HOME={home}".encode(), []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the SuperLink could not be found and ended")
def test_flowers_own_command_runs_the_app(tmp_path: Path, cache: Path) -> None:
    (exported,) = (line for line in lines() if line.startswith("export "))
    (line,) = (line for line in lines() if line.startswith("flwr run "))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("fedrec", "clients", "server", "simulations"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "import-path.txt"):
        shutil.copy(ROOT / name, checkout)
    settings = " ".join(option.removeprefix("--set=") for option in SMALL) + " federation.clients=2"
    small = f"scenario='smoke' set='{settings}' out='{tmp_path / 'run'}' cache='{cache}'"
    line = line.replace("num-supernodes=20", "num-supernodes=2") + f" --run-config {shlex.quote(small)}"
    home = tmp_path / "home"
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(home),
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": free_port(),
        "FLWR_LOCAL_CONTROL_API_PORT": free_port(),
    }
    try:
        ran = subprocess.run(
            ["bash", "-c", f"{exported}; {line}"],
            cwd=checkout,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert (tmp_path / "run" / "public" / "summary.json").is_file(), ran.stdout + ran.stderr
    finally:
        for process in started_with(home):
            os.kill(process, signal.SIGTERM)
