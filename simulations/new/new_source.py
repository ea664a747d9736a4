"""NEW_SOURCE: a folder with `events.csv` (user, item, time, value) and `items.csv` (item, title)."""

from pathlib import Path

import numpy as np

from fedrec.data.interactions import Catalogue, Dataset
from fedrec.data.sources.base import Source
from fedrec.data.tables.assemble import Rows, assemble
from fedrec.data.tables.parse import identifiers, numbers, texts, times
from fedrec.data.tables.table import read_table
from fedrec.experiment.config import DataConfig


def load(path: Path, config: DataConfig) -> Dataset:
    """Read the folder; times are seconds or ISO dates, and events of the same time keep their order in the file.

    Raises:
        DataError: If a file, a column or a cell is missing or broken, with file and line.
    """
    events, items = read_table(path / "events.csv"), read_table(path / "items.csv")
    titles = texts(items, "title").to_list()
    rows = Rows(
        user=identifiers(events, "user"),
        item=identifiers(events, "item"),
        time=times(events, "time"),
        value=numbers(events, "value").astype(np.float32),
    )
    return assemble(config.name, rows, Catalogue(identifiers(items, "item").to_list(), titles, titles))


NEW_SOURCE = Source(
    name="new_source",
    summary="what it is, in one line",
    terms="who may use it, and for what, in one line",
    downloads=(),  # a Download with the sha256 of its archive, if it can be fetched
    load=load,
    public_catalogue=lambda _: True,  # items.csv is a list that no event adds to
)
