"""The user's own files, without code: any CSV, TSV or Parquet, its columns named in `data.table`.

`data.path` is the file with one row per interaction. A second file may describe the items, a third the users;
their key is the column named in `items_key` and `users_key`, as in the main file or, failing that, `id`. Their further
columns become attributes. Comma and semicolon files may quote cells with `"`; all others are read as they stand.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from fedrec.core.errors import DataError
from fedrec.data.interactions import Catalogue, Dataset, Users
from fedrec.data.sources.base import DATASETS, Source
from fedrec.data.tables.assemble import Rows, assemble, order_of
from fedrec.data.tables.layout import layout_of, plain_name
from fedrec.data.tables.parse import identifiers, numbers, texts, times
from fedrec.data.tables.table import Table, read_table
from fedrec.experiment.config import DataConfig, TableConfig


def load_table(path: Path, config: DataConfig) -> Dataset:
    """Read the user's interactions and, where given, items and users.

    Without a time column, file order is time order; without a value column, each value is 1. Without an
    items file, items are those of the main file, described by their first row there, ordered by number if
    all identifiers are whole numbers, by first appearance otherwise.

    Raises:
        DataError: If a file or column is missing, a file has no rows, or a cell is broken.
    """
    columns = config.table
    table = _read(path, columns)
    count = len(table.frame)
    rows = Rows(
        identifiers(table, columns.user),
        identifiers(table, columns.item),
        times(table, columns.time, columns.time_format) if columns.time else np.arange(count),
        numbers(table, columns.value).astype(np.float32) if columns.value else np.ones(count, np.float32),
    )
    catalogue = (
        _items_file(columns.items_path, columns) if columns.items_path else _items_among(table, rows.item, columns)
    )
    users = _users_file(columns.users_path, columns) if columns.users_path else None
    return replace(assemble(plain_name(path).stem, rows, catalogue, users), order="time" if columns.time else "file")


def _read(path: Path, columns: TableConfig) -> Table:
    if path.suffix.lower() == ".parquet":
        table = read_table(path)
    else:
        table = read_table(path, layout_of(path, columns.separator, columns.encoding))
    if table.frame.is_empty():
        message = f"{path}: has columns ({', '.join(table.frame.columns)}) and no row; give a file with at least one"
        raise DataError(message)
    return table


def _items_file(path: Path, columns: TableConfig) -> Catalogue:
    table = _read(path, columns)
    key = columns.items_key or _key(table, columns.item, "data.table.items_key")
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
    key = columns.users_key or _key(table, columns.user, "data.table.users_key")
    return Users(identifiers(table, key).to_list(), _attributes(table, {key}))


def _attributes(table: Table, others: set[str | None]) -> dict[str, Sequence[str]]:
    return {name: texts(table, name).to_list() for name in table.frame.columns if name not in others}


def _key(table: Table, name: str, option: str) -> str:
    known = table.frame.columns
    found = next((column for column in (name, "id") if column in known), None)
    if found is None:
        message = (
            f"{table.path}: no column {name!r}, as in the main file, and none called 'id'; name the column with the "
            f"identifiers in {option}; columns found: {', '.join(known)}"
        )
        raise DataError(message)
    return found


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
