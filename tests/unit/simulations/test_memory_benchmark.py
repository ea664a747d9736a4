"""The memory benchmark: phases by hand, its table, and its small form for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from fedrec.core.progress import silent
from simulations.benchmarks import memory
from simulations.benchmarks.memory import Peaks
from simulations.benchmarks.memory_table import Size, write_table

ROOT = Path(__file__).parents[3]
linux_only = pytest.mark.skipif(not memory.FORGET.exists(), reason="only Linux forgets a peak")


def test_a_peak_belongs_to_the_work_that_ended(monkeypatch, tmp_path):
    held = iter([5.0, 7.0, 6.0, 9.0])
    monkeypatch.setattr(memory, "peak_mb", lambda: next(held))
    monkeypatch.setattr(memory, "FORGET", tmp_path / "clear_refs")
    peaks = Peaks(silent)
    peaks("rounds", 0, 2)
    peaks("rounds", 1, 2)
    peaks("note", 0, 0, "says something and ends nothing")
    peaks("rounds", 2, 2)
    peaks.end("report")
    assert peaks.of == {"before rounds": 5.0, "rounds": 7.0, "report": 9.0}
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_the_table_has_the_stated_size_and_is_the_same_every_time(tmp_path):
    size = Size(users=40, items=60, rows=500)
    section = write_table(tmp_path, size)
    rows, items = pl.read_csv(section["path"]), pl.read_csv(section["table"]["items_path"])
    assert (len(rows), rows["user"].n_unique(), len(items)) == (500, 40, 60)
    assert rows.select("user", "item").is_unique().all()
    assert rows.group_by("user").len()["len"].min() >= 5
    before = section["path"].read_bytes()
    write_table(tmp_path, size)
    assert section["path"].read_bytes() == before


@linux_only
def test_memory_of_a_small_run_is_told_phase_by_phase(cache):
    command = [sys.executable, "-m", "simulations.benchmarks.memory", "--small", "--json", "--quiet"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "FEDREC_CACHE": str(cache)}, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    phases = told["phases_mb"]
    assert {"pretraining the base", "rounds", "control ease", "control local_only", "control central"} <= phases.keys()
    assert all(peak > 0 for peak in phases.values())
    assert told["peak_mb"] == max(phases.values())
