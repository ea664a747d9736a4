"""Short runs on real data whose numbers are kept: a change of numbers is a breaking change, never an accident.

`golden.json` holds each run's whole experiment, so that no default matters, and what came out. After a change that is
meant to change numbers, write them anew and say so in CHANGELOG.md: `python -m tests.golden.regenerate`.
"""

import json
from pathlib import Path
from typing import Any

from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from simulations.options import RunOptions
from simulations.runner import run

FILE = Path(__file__).with_name("golden.json")
Numbers = dict[str, list[float]]


def read() -> dict[str, dict[str, Any]]:
    """Return name -> {"experiment", "numbers"} of every golden run."""
    entries: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return entries


def numbers_of(experiment: dict[str, Any], cache: Path, out: Path) -> Numbers:
    """Run the experiment in process and return its numbers: by round, then of the test users."""
    options = RunOptions(engine="inprocess", out=out, cache=cache)
    directory = run(Experiment.model_validate(experiment), options, silent)
    rounds, summary = directory.rounds(), directory.summary()
    return {
        "validation_loss": [line["loss"] for line in rounds],
        "update_norm": [line["update_norm"] for line in rounds[1:]],
        "epsilon": [line["epsilon"] or 0.0 for line in rounds[1:]],
        "test_ndcg@10": [summary["metrics"]["test"][target]["ndcg@10"] for target in ("last", "last20")],
        "upload_bytes": [summary["communication"]["upload_bytes_total"]],
    }
