"""From text cells to identifiers, numbers and times; a cell that cannot be one is named by its line."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fedrec.core.errors import DataError
from fedrec.core.registry import suggest
from fedrec.data.interactions import IntArray
from fedrec.data.tables.table import Table

MICROSECONDS = 1_000_000

_YEAR_FIRST = r"^\d{4}[-/]"
_ANOTHER_FORM = "if its dates are written otherwise, say how: data.table.time_format, such as '%d/%m/%Y' or '%m/%d/%Y'"
_TICKS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_THIS_ERA = (315_532_800, 4_102_444_800)
"""1980 to 2100 in seconds: in no other of these units does any of it lie within."""


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


def times(table: Table, name: str, form: str | None = None) -> IntArray:
    """Return a column of times as integers that keep their order, `[rows]`.

    Whole numbers stay as they are; ISO dates become seconds since the epoch (UTC where no zone is given).
    Times finer than that become their rank, since only the order is promised.

    Args:
        table: The table.
        name: Name of the column.
        form: How its dates are written, as for `strptime`; numbers or ISO dates if not given, since nobody can tell
            the day of 5/1/2024.

    Raises:
        DataError: If the column is missing, a cell is neither a finite number nor an ISO date nor of the form, or
            numbers are plainly of several units.
    """
    cells = texts(table, name)
    if form is not None:
        return _dates(table, name, cells, form)
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        _require_one_unit(table, name, whole.to_numpy())
        return whole.to_numpy()
    if cells.head(1).cast(pl.Float64, strict=False).null_count() == 0:
        values = numbers(table, name)
        _require_one_unit(table, name, values)
        if np.all((values == np.floor(values)) & (np.abs(values) < 2**53)):
            return values.astype(np.int64)
        return _ranks(values)
    _refuse(table, name, cells, ~cells.str.contains(_YEAR_FIRST), f"a number or an ISO date; {_ANOTHER_FORM}")
    return _dates(table, name, cells, None)


def _dates(table: Table, name: str, cells: pl.Series, form: str | None) -> IntArray:
    wanted = "a number or an ISO date of the form the first row has"
    if form is not None:
        wanted = f"a time of the form {form!r}, as data.table.time_format says"
    dates = cells.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    _refuse(table, name, cells, dates.is_null(), wanted)
    ticks = dates.dt.epoch("us").to_numpy()
    return _ranks(ticks) if np.any(ticks % MICROSECONDS) else ticks // MICROSECONDS


def _require_one_unit(table: Table, name: str, values: NDArray[np.float64] | IntArray) -> None:
    """Refuse times since the epoch in several units: the later ones of a user would be those in the finer unit."""
    first, last = _THIS_ERA
    within = {unit: (values >= first * ticks) & (values < last * ticks) for unit, ticks in _TICKS.items()}
    rows = {unit: int(np.argmax(found)) for unit, found in within.items() if found.any()}
    if len(rows) > 1:
        (unit, row), (other, other_row) = list(rows.items())[:2]
        message = (
            f"{table.place(row)}: column {name!r} has {table.frame[name][row]}, {unit} since 1970, and "
            f"{table.place(other_row)} has {table.frame[name][other_row]}, {other}; write all of them in one unit"
        )
        raise DataError(message)


def _ranks(values: NDArray[np.float64] | IntArray) -> IntArray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _refuse(table: Table, name: str, cells: pl.Series, broken: pl.Series, wanted: str) -> None:
    """Raise for the first row of `broken`, if any."""
    if not broken.any():
        return
    row = int(broken.arg_true()[0])
    nothing = "nothing" if table.layout is None else "nothing (or the line has too few fields)"
    found = repr(cells[row]) if cells[row] else nothing
    message = (
        f"{table.place(row)}: column {name!r} has {found}, expected {wanted} "
        f"({broken.sum()} such rows); correct or remove them"
    )
    raise DataError(message)
