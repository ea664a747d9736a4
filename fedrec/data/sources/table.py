"""The user's own files, without code: any CSV, TSV or Parquet, its columns named in `data.table`.

`data.path` is the file with one row per interaction. A second file may describe the items, a third the users;
their key is the column named as in the main file or, failing that, `id`. Their further columns become
attributes. Comma and semicolon files may quote cells with `"`; all others are read as they stand.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from fedrec.config import DataConfig, TableConfig
from fedrec.data.assemble import Rows, assemble, order_of
from fedrec.data.cells import identifiers, numbers, texts, times
from fedrec.data.frames import Table, layout_of, read_table
from fedrec.data.interactions import Catalogue, Dataset, Users
from fedrec.data.sources.base import DATASETS, Source


def load_table(path: Path, config: DataConfig) -> Dataset:
    """Read the user's interactions and, where given, items and users.

    Without a time column, file order is time order; without a value column, each value is 1. Without an
    items file, items are those of the main file, described by their first row there, ordered by number if
    all identifiers are whole numbers, by first appearance otherwise.

    Raises:
        DataError: If a file or column is missing, or a cell is broken.
    """
    columns = config.table
    table = _read(path, columns)
    count = len(table.frame)
    rows = Rows(
        identifiers(table, columns.user),
        identifiers(table, columns.item),
        times(table, columns.time) if columns.time else np.arange(count),
        numbers(table, columns.value).astype(np.float32) if columns.value else np.ones(count, np.float32),
    )
    catalogue = (
        _items_file(columns.items_path, columns) if columns.items_path else _items_among(table, rows.item, columns)
    )
    users = _users_file(columns.users_path, columns) if columns.users_path else None
    return replace(assemble(path.stem, rows, catalogue, users), order="time" if columns.time else "file")


def _read(path: Path, columns: TableConfig) -> Table:
    if path.suffix.lower() == ".parquet":
        return read_table(path)
    return read_table(path, layout_of(path, columns.separator, columns.encoding))


def _items_file(path: Path, columns: TableConfig) -> Catalogue:
    table = _read(path, columns)
    key = _key(table, columns.item)
    attributes = _attributes(table, {key, columns.title, *columns.text})
    return _catalogue(table, identifiers(table, key), columns, attributes)


def _items_among(table: Table, item: pl.Series, columns: TableConfig) -> Catalogue:
    """Take each item's first row; what else that row holds belongs to the interaction."""
    first = item.is_first_distinct()
    ids = item.filter(first)
    order = order_of(ids)
    described = Table(table.path, table.frame.filter(first)[order], table.layout)
    return _catalogue(described, ids[order], columns, {})


def _catalogue(table: Table, ids: pl.Series, columns: TableConfig, attributes: dict[str, Sequence[str]]) -> Catalogue:
    """Join the text columns by ". "; what stays empty is filled in cleaning, from title or identifier."""
    cells = [texts(table, name).replace("", None).alias(str(index)) for index, name in enumerate(columns.text)]
    joined = pl.select(pl.concat_str(cells, separator=". ", ignore_nulls=True)).to_series() if cells else None
    name = columns.title or (columns.text[0] if columns.text else None)
    titles = ids if name is None else texts(table, name)
    words = [""] * len(ids) if joined is None else joined.fill_null("").to_list()
    return Catalogue(ids.to_list(), words, titles.to_list(), attributes)


def _users_file(path: Path, columns: TableConfig) -> Users:
    table = _read(path, columns)
    key = _key(table, columns.user)
    return Users(identifiers(table, key).to_list(), _attributes(table, {key}))


def _attributes(table: Table, others: set[str | None]) -> dict[str, Sequence[str]]:
    return {name: texts(table, name).to_list() for name in table.frame.columns if name not in others}


def _key(table: Table, name: str) -> str:
    return "id" if name not in table.frame.columns and "id" in table.frame.columns else name


DATASETS.register("table")(
    Source(
        "table",
        "your own CSV, TSV or Parquet (data.path and data.table)",
        "your own data",
        (),
        load_table,
        public_catalogue=lambda config: config.table.items_path is not None,
    )
)
