"""Every registered data source keeps the contract on a small piece of its format; a new one needs an entry here."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fedrec.data.load import known_sources
from fedrec.experiment.config import DataConfig
from simulations.testing.sources import SourceContract
from tests.unit.data.test_complete_journey import TABLES
from tests.unit.data.test_movielens import csv_folder, official


def table(folder: Path) -> Path:
    """Write a file of three users' rows."""
    rows = ["user,item,title", "a,x,A long title", "a,y,Another", "b,y,Another", "c,x,A long title", ""]
    (folder / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "rows.csv"


def journey(folder: Path) -> Path:
    """Write the three tables."""
    for name, rows in TABLES.items():
        pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")
    return folder


PIECES: Mapping[str, Callable[[Path], Path]] = {
    "complete-journey": journey,
    "complete-journey-types": journey,
    "movielens-100k": official,
    "movielens-latest-small": csv_folder,
    "movielens-25m": csv_folder,
    "movielens-32m": csv_folder,
    "synthetic": official,
    "table": table,
}
"""What writes a small piece of a source's format into a folder."""

CONFIG: Mapping[str, Mapping[str, Any]] = {
    "synthetic": {"synthetic": {"based_on": "movielens-100k", "users": 50}},
    "table": {"table": {"title": "title", "text": ["title"]}},
}


@pytest.mark.parametrize("plugin", [source.name for source in known_sources()])
class TestEverySource(SourceContract):
    """The contract that a user's own source inherits, too."""

    @pytest.fixture
    def files(self, plugin: str, tmp_path: Path) -> Path:
        assert plugin in PIECES, f"{plugin} is new: write a small piece of its format, and say so in PIECES"
        (folder := tmp_path / "files").mkdir()
        return PIECES[plugin](folder)

    @pytest.fixture
    def data(self, plugin: str, files: Path) -> DataConfig:
        return DataConfig.model_validate(
            {"name": plugin, "path": files, "min_interactions": 1, **CONFIG.get(plugin, {})}
        )
