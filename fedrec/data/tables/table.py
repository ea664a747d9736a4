"""Tables of text cells that can say where in their file a row stands.

Files are read column by column with polars, every cell as text, so that a broken cell can be named by its
line before it becomes a number (`fedrec.data.tables.parse`). Polars' own exceptions never leave this module.
"""

import contextlib
import csv
import itertools
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from fedrec.core.errors import DataError
from fedrec.data.tables.encodings import decode
from fedrec.data.tables.layout import Layout, layout_of, read_bytes, read_lines, require_file


@dataclass(frozen=True, eq=False)
class Table:
    """Cells as text, "" where empty; blank lines are left out.

    Attributes:
        path: The file.
        frame: One column of strings for each column of the file.
        layout: How the file was cut; None for Parquet.
    """

    path: Path
    frame: pl.DataFrame
    layout: Layout | None

    def place(self, row: int) -> str:
        """Return `file, line 12` for a 0-based row; `file, row 12` (1-based) for Parquet."""
        if self.layout is None:
            return f"{self.path}, row {row + 1}"
        wanted = row if self.layout.columns else row + 1
        # A cell beyond csv's size limit stops the search; the row's number then stands in for its line.
        with contextlib.suppress(csv.Error, StopIteration):
            lines = read_lines(self.path, self.layout.encoding)
            records = (line for line, cells in self.layout.records(lines) if any(cells))
            return f"{self.path}, line {next(itertools.islice(records, wanted, None))}"
        return f"{self.path}, row {row + 1}"


def read_table(path: Path, layout: Layout | None = None) -> Table:
    """Read a text file as `layout` says, or a `.parquet` file.

    Args:
        path: The file.
        layout: How to cut it; by default as `layout_of` finds. Not used for Parquet.

    Returns:
        The table; without rows if the file has a header only.

    Raises:
        DataError: If the file is missing, empty, in another encoding, or a line has too many fields. A line
            with too few fields is read with empty cells at its end, which fails where they are needed.
    """
    require_file(path)
    if path.suffix.lower() == ".parquet":
        return Table(path, _read_parquet(path), None)
    layout = layout or layout_of(path)
    return Table(path, _read_text(path, layout), layout)


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False).with_columns(cs.float().fill_nan(None))
        zoned = cs.datetime(time_zone="*").dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return frame.with_columns(zoned).with_columns(pl.all().cast(pl.String)).fill_null("")
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"{path}: not a readable Parquet table ({_first_line(error)}); write it again, or use CSV"
        raise DataError(message) from error


def _read_text(path: Path, layout: Layout) -> pl.DataFrame:
    try:
        frame = pl.read_csv(
            path if layout.encoding == "utf-8" else decode(read_bytes(path), layout.encoding, path).encode(),
            has_header=not layout.columns,
            separator=layout.separator,
            quote_char=layout.quote,
            eol_char=layout.line_end,
            infer_schema=False,
            glob=False,
        ).fill_null("")
    except pl.exceptions.NoDataError as error:
        message = f"{path}: is empty; it needs {'' if layout.columns else 'a header line and '}at least one row"
        raise DataError(message) from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _explain(path, layout, error) from error
    if layout.columns:
        frame = _named(path, frame, layout.columns)
    return frame.filter(pl.any_horizontal(pl.all() != ""))


def _named(path: Path, frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    if frame.width != len(columns):
        message = f"{path}: has {frame.width} columns, expected {len(columns)}: {', '.join(columns)}"
        raise DataError(message)
    return frame.rename(dict(zip(frame.columns, columns, strict=True)))


def _explain(path: Path, layout: Layout, error: Exception) -> DataError:
    """Look for what polars could not read, this time line by line."""
    decode(read_bytes(path), layout.encoding, path)
    width, line = len(layout.columns), 0
    try:
        for line, cells in layout.records(read_lines(path, layout.encoding)):
            width = width or len(cells)
            if len(cells) > width:
                return DataError(
                    f"{path}, line {line}: has {len(cells)} fields, expected {width}; correct or remove it"
                )
    except csv.Error as broken:
        return DataError(f"{path}, after line {line}: {broken}; close the quotation mark, or double it inside a field")
    numbered = enumerate(read_lines(path, layout.encoding), start=1)
    stray = layout.quote and next((n for n, text in numbered if text.count('"') % 2), None)
    if stray:
        return DataError(f'{path}, line {stray}: has a stray quotation mark; write it twice inside a "quoted" field')
    return DataError(f"{path}: cannot be read ({_first_line(error)}); check data.table.separator and the file's lines")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
