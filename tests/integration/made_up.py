"""A run without text on made-up rows: finished in less than a second."""

from pathlib import Path
from typing import Any

from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.run.directory import RunDirectory
from simulations.options import RunOptions
from simulations.runner import run
from tests.tiny import tiny

USERS, ITEMS, ROWS = 40, 30, 8


def wanted(folder: Path, **changes: Any) -> Experiment:
    """Return an experiment on items of three kinds and users who stay mostly with one, each with a row a second."""
    folder.mkdir()
    chosen = [[(3 * step + user + (step % 3 == 0)) % ITEMS for step in range(ROWS)] for user in range(USERS)]
    rows = [f"{user},{item},{time}" for user, own in enumerate(chosen) for time, item in enumerate(own)]
    (folder / "rows.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    items = [f"{item},item {item},{'abc'[item % 3]}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("item,title,genres\n" + "\n".join(items) + "\n")
    table = {"time": "time", "items_path": folder / "items.csv", "title": "title", "text": ("title",)}
    sections: dict[str, Any] = {
        "data": {"name": "table", "path": folder / "rows.csv", "table": table},
        "split": {"validation": 0.3, "test": 0.3},
        "model": {"name": "matrix_factorization", "width": 2},
        "adapter": {"name": "full", "private": ()},
        "privacy": {"epsilon": float("inf")},
        "evaluation": {"cutoffs": (5, 10), "controls": ()},
    }
    merged = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in sections.keys() | changes.keys()}
    return tiny(**merged)


def finished(folder: Path, **changes: Any) -> RunDirectory:
    """Return a finished run of such an experiment in a new folder."""
    return run(wanted(folder, **changes), RunOptions(out=folder / "run", cache=folder), silent)
