"""From text cells to identifiers, numbers and times; a cell that cannot be one is named by its line."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedrec.data.frames import Table
from fedrec.data.interactions import IntArray
from fedrec.errors import DataError
from fedrec.registry import suggest

MICROSECONDS = 1_000_000


def texts(table: Table, name: str) -> pl.Series:
    """Return a column's cells without surrounding white space, `[rows]`; "" where empty.

    Raises:
        DataError: If there is no such column; the message lists those there are.
    """
    known = table.frame.columns
    if name not in known:
        hint = suggest(name, known) or ";"
        message = f"{table.path}: no column {name!r}{hint} columns found: {', '.join(known)}"
        raise DataError(message)
    return table.frame[name].str.strip_chars()


def identifiers(table: Table, name: str) -> pl.Series:
    """Return a column of identifiers, `[rows]`.

    Raises:
        DataError: If the column is missing or a cell is empty.
    """
    cells = texts(table, name)
    _refuse(table, name, cells, cells == "", "an identifier")
    return cells


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Return a column of finite numbers, `[rows]`.

    Raises:
        DataError: If the column is missing, or a cell is empty, not a number, NaN or infinite.
    """
    cells = texts(table, name)
    values = cells.cast(pl.Float64, strict=False)
    _refuse(table, name, cells, ~values.is_finite().fill_null(value=False), "a finite number")
    return values.to_numpy()


def times(table: Table, name: str) -> IntArray:
    """Return a column of times as integers that keep their order, `[rows]`.

    Whole numbers stay as they are; ISO dates become seconds since the epoch (UTC where no zone is given).
    Times finer than that become their rank, since only the order is promised.

    Raises:
        DataError: If the column is missing, or a cell is neither a finite number nor an ISO date.
    """
    cells = texts(table, name)
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return whole.to_numpy()
    if cells.head(1).cast(pl.Float64, strict=False).null_count() == 0:
        values = numbers(table, name)
        if np.all((values == np.floor(values)) & (np.abs(values) < 2**53)):
            return values.astype(np.int64)
        return _ranks(values)
    return _dates(table, name, cells)


def _dates(table: Table, name: str, cells: pl.Series) -> IntArray:
    dates = cells.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    _refuse(table, name, cells, dates.is_null(), "a number or an ISO date of the form the first row has")
    ticks = dates.dt.epoch("us").to_numpy()
    return _ranks(ticks) if np.any(ticks % MICROSECONDS) else ticks // MICROSECONDS


def _ranks(values: NDArray[np.float64] | IntArray) -> IntArray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _refuse(table: Table, name: str, cells: pl.Series, broken: pl.Series, wanted: str) -> None:
    """Raise for the first row of `broken`, if any."""
    if not broken.any():
        return
    row = int(broken.arg_true()[0])
    found = repr(cells[row]) if cells[row] else "nothing (or the line has too few fields)"
    message = (
        f"{table.place(row)}: column {name!r} has {found}, expected {wanted} "
        f"({broken.sum()} such rows); correct or remove them"
    )
    raise DataError(message)
