"""Tables of text cells that can say where in their file a row stands.

Files are read column by column with polars, every cell as text, so that a broken cell can be named by its
line before it becomes a number (`fedrec.data.cells`). Polars' own exceptions never leave this module.
"""

import contextlib
import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.selectors as cs

from fedrec.errors import DataError

QUOTED = {",", ";"}
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Layout:
    """How a text file is cut into cells.

    Attributes:
        separator: One character between two cells.
        encoding: Encoding of the file.
        columns: Names of the columns of a file without a header line; empty if the first line names them.
    """

    separator: str
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()

    @property
    def quote(self) -> str | None:
        """The quoting character: `"` for comma and semicolon; others are read as they stand."""
        return '"' if self.separator in QUOTED else None


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
            records = (line for line, cells in _records(self.path, self.layout) if any(cells))
            return f"{self.path}, line {next(itertools.islice(records, wanted, None))}"
        return f"{self.path}, row {row + 1}"


def layout_of(path: Path, separator: str | None = None, encoding: str = "utf-8") -> Layout:
    """Return the layout of a file with a header line; the suffix tells a separator that is not given.

    Raises:
        DataError: If the separator is neither given nor known from the suffix, or not one character.
    """
    found = separator or SEPARATORS.get(path.suffix.lower())
    if found is None:
        message = (
            f"{path}: no separator is known for {path.suffix!r} files; set data.table.separator, or use .csv or .tsv"
        )
        raise DataError(message)
    if len(found) != 1 or not found.isascii():
        message = f"separator {found!r} is not one plain character; set data.table.separator to one, such as ',' or '|'"
        raise DataError(message)
    return Layout(found, encoding)


def read_table(path: Path, layout: Layout | None = None) -> Table:
    """Read a text file as `layout` says, or a `.parquet` file.

    Args:
        path: The file.
        layout: How to cut it; by default as its suffix tells. Not used for Parquet.

    Returns:
        The table; without rows if the file has a header only.

    Raises:
        DataError: If the file is missing, empty, in another encoding, or a line has too many fields. A line
            with too few fields is read with empty cells at its end, which fails where they are needed.
    """
    if not path.is_file():
        message = f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; give the path of an existing file"
        raise DataError(message)
    if path.suffix.lower() == ".parquet":
        return Table(path, _read_parquet(path), None)
    layout = layout or layout_of(path)
    return Table(path, _read_text(path, layout), layout)


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False)
        zoned = cs.datetime(time_zone="*").dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return frame.with_columns(zoned).with_columns(pl.all().cast(pl.String)).fill_null("")
    except (pl.exceptions.PolarsError, OSError) as error:
        message = f"{path}: not a readable Parquet table ({_first_line(error)}); write it again, or use CSV"
        raise DataError(message) from error


def _read_text(path: Path, layout: Layout) -> pl.DataFrame:
    try:
        frame = pl.read_csv(
            path if layout.encoding == "utf-8" else _decode(path, layout.encoding).encode(),
            has_header=not layout.columns,
            separator=layout.separator,
            quote_char=layout.quote,
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
    _decode(path, layout.encoding)
    width, line = len(layout.columns), 0
    try:
        for line, cells in _records(path, layout):
            width = width or len(cells)
            if len(cells) > width:
                return DataError(
                    f"{path}, line {line}: has {len(cells)} fields, expected {width}; correct or remove it"
                )
    except csv.Error as broken:
        return DataError(f"{path}, after line {line}: {broken}; close the quotation mark, or double it inside a field")
    stray = layout.quote and next((n for n, text in _lines(path, layout) if text.count('"') % 2), None)
    if stray:
        return DataError(f'{path}, line {stray}: has a stray quotation mark; write it twice inside a "quoted" field')
    return DataError(f"{path}: cannot be read ({_first_line(error)}); check data.table.separator and the file's lines")


def _decode(path: Path, encoding: str) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode(encoding)
    except LookupError as error:
        message = (
            f"unknown encoding {encoding!r}; set data.table.encoding to one Python knows, such as utf-8 or latin-1"
        )
        raise DataError(message) from error
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = (
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not {encoding}; "
            "set data.table.encoding (often latin-1), or save the file as UTF-8"
        )
        raise DataError(message) from error


def _lines(path: Path, layout: Layout) -> Iterator[tuple[int, str]]:
    with path.open(encoding=layout.encoding, newline="") as file:
        yield from enumerate(file, start=1)


def _records(path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it starts on; a quoted cell may span several."""
    with path.open(encoding=layout.encoding, newline="") as file:
        if layout.quote:
            reader = csv.reader(file, delimiter=layout.separator, strict=True)
        else:
            reader = csv.reader(file, delimiter=layout.separator, quoting=csv.QUOTE_NONE)
        start = 1
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
