"""What the documents show is true: their examples are read, and run where they say so.

A fenced block's language decides what is checked: ```python compiles, ```bash parses, ```toml is a valid experiment
(unless it is a piece of a pyproject.toml). A Python block is run, in a process and folder of its own, after the line
`<!-- runs -->`. After `<!-- file: NAME -->` a block is also the file NAME for the blocks below it that run.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from fedrec.experiment.file import load_experiment
from fedrec.experiment.layers import found_at
from fedrec.privacy.checks import check
from server.base import averages
from simulations.plugins import SCENARIOS, registries_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>runs|file: [^>]+?) -->\n+)?"
    r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text, and the note before it ("" if none)."""

    place: str
    language: str
    text: str
    note: str

    @property
    def file(self) -> str:
        return self.note.removeprefix("file: ") if self.note.startswith("file: ") else ""


def blocks_of(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            place=f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, found.start('fence')) + 1}",
            language=found["language"],
            text=found["text"],
            note=found["note"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]


def each(*languages: str, note: str | None = None) -> pytest.MarkDecorator:
    chosen = [b for b in BLOCKS if b.language in languages and (note is None or b.note == note)]
    return pytest.mark.parametrize("block", [pytest.param(block, id=block.place) for block in chosen])


@each("python")
def test_python_compiles(block: Block) -> None:
    compile(block.text, block.place, "exec")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@each("bash", "sh", "console")
def test_shell_parses(block: Block) -> None:
    read = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=30, check=False)
    assert read.returncode == 0, f"{block.place}: {read.stderr}"


@each("toml")
def test_toml_is_a_valid_experiment(block: Block, tmp_path: Path) -> None:
    if {"project", "tool", "build-system"} & tomllib.loads(block.text).keys():
        return
    file = tmp_path / "experiment.toml"
    file.write_text(block.text, encoding="utf-8")
    named = load_experiment(file, [], SCENARIOS).model_dump()
    # A plug-in of the reader's own, package.module:Class, is not importable here.
    registries = {
        key: registry
        for key, registry in registries_of().items()
        if not any(":" in str(name) for _, name in found_at(named, tuple(key.split("."))))
    }
    experiment = load_experiment(file, [], SCENARIOS, registries)
    if "strategy.name" in registries:
        strategy = registries["strategy.name"].get(experiment.strategy.name)
        check(experiment, linear_strategy=averages(strategy))


@each("python", note="runs")
def test_python_that_says_so_runs(block: Block, tmp_path: Path) -> None:
    document = block.place.partition(":")[0]
    for other in BLOCKS:
        if other.file and other.place.partition(":")[0] == document:
            (tmp_path / other.file).write_text(other.text, encoding="utf-8")
    (tmp_path / "block.py").write_text(block.text, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "block.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in LINK.findall(BLOCK.sub("", document.read_text(encoding="utf-8")))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert not broken


def test_examples_in_docstrings_hold() -> None:
    packages = (ROOT / package for package in ("fedrec", "clients", "server", "simulations"))
    modules = [path for package in packages for path in package.rglob("*.py")]
    failed = {}
    for path in sorted(path for path in modules if ">>>" in path.read_text(encoding="utf-8")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        failed[name] = doctest.testmod(import_module(name)).failed
    assert not {name: count for name, count in failed.items() if count}
