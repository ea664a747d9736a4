"""How a text file is cut into cells: what its name and its first lines tell, and what they leave to be said.

A file is unpacked if its first bytes say gzip, whatever its name. A separator is taken from the lines only where they
leave no choice; where they do, the suffix decides, and where that says nothing either, the user has to.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedrec.core.errors import DataError
from fedrec.data.tables.encodings import require_codec, require_text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""What is looked for where no separator is given, in words."""

BY_SUFFIX = {".csv": ",", ".tsv": "\t"}
QUOTED = {",", ";"}
GZIP = b"\x1f\x8b"
HEAD_BYTES = 1 << 16
"""So much of a file is looked at to find out how it is cut."""


@dataclass(frozen=True)
class Layout:
    """How a text file is cut into cells.

    Attributes:
        separator: One character between two cells.
        encoding: Encoding of the file.
        columns: Names of the columns of a file without a header line; empty if the first line names them.
        line_end: Last character of a line.
    """

    separator: str
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    line_end: str = "\n"

    @property
    def quote(self) -> str | None:
        """The quoting character: `"` for comma and semicolon; others are read as they stand."""
        return '"' if self.separator in QUOTED else None

    def records(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield the cells of each record with the 1-based line that it starts on; a quoted cell may span several.

        Args:
            lines: With their ends as the file has them.

        Raises:
            csv.Error: If a quotation mark is out of place.
        """
        if self.quote:
            reader = csv.reader(lines, delimiter=self.separator, strict=True)
        else:
            reader = csv.reader(lines, delimiter=self.separator, quoting=csv.QUOTE_NONE)
        start = 1
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1


def layout_of(path: Path, separator: str | None = None, encoding: str = "utf-8") -> Layout:
    """Return the layout of a file with a header line.

    Args:
        path: The file, packed by gzip or not.
        separator: Between two cells; by default found in the file's first lines, or told by its suffix.
        encoding: Of the file.

    Raises:
        DataError: If there is no such file, its separator cannot be told or is not one character, the encoding is
            unknown, or the file cannot be unpacked or is no text.
    """
    require_file(path)
    require_codec(encoding)
    if separator is not None and (len(separator) != 1 or not separator.isascii()):
        message = (
            f"separator {separator!r} is not one plain character; set data.table.separator to one, such as ',' or '|'"
        )
        raise DataError(message)
    raw = read_bytes(path, HEAD_BYTES)
    require_text(raw, encoding, path)
    head = raw.decode(encoding, errors="replace").removeprefix("\ufeff")
    line_end = "\r" if "\r" in head and "\n" not in head else "\n"
    return Layout(separator or _separator(path, head, whole=len(raw) < HEAD_BYTES), encoding, line_end=line_end)


def plain_name(path: Path) -> Path:
    """Return a file's name as it is unpacked: `log.csv` for `log.csv.gz`."""
    return Path(path.name.removesuffix(".gz"))


def require_file(path: Path) -> None:
    """Refuse what is no file.

    Raises:
        DataError: If the path is missing or a folder.
    """
    if not path.is_file():
        message = f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; give the path of an existing file"
        raise DataError(message)


def read_bytes(path: Path, size: int = -1) -> bytes:
    """Return the first `size` bytes of a file, unpacked; all of them by default.

    Raises:
        DataError: If the file cannot be read or unpacked.
    """
    try:
        with _opened(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path}: cannot be read ({error}); if it is packed, it may be damaged: pack it again"
        raise DataError(message) from error


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file, unpacked, with their ends as they stand."""
    with _opened(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        yield from text


def _opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    return gzip.open(path) if packed else path.open("rb")


def _separator(path: Path, head: str, *, whole: bool) -> str:
    """Return the one separator that cuts the header; of several the one that cuts all lines into as many cells.

    An empty file gets any: that it is empty is told when it is read.
    """
    suffix = plain_name(path).suffix.lower()
    usual = BY_SUFFIX.get(suffix) if head.strip() else ","
    widths = {separator: _widths(head, separator, whole=whole) for separator in SEPARATORS}
    found = [separator for separator, counts in widths.items() if counts and counts[0] > 1]
    if len(found) > 1:
        found = [separator for separator in found if len(set(widths[separator])) == 1] or found
    if len(found) == 1:
        return found[0]
    if usual is not None and (not found or usual in found):
        return usual
    words = " and ".join(SEPARATORS[separator] for separator in found) or "none of " + ", ".join(SEPARATORS.values())
    message = (
        f"{path}: no separator is known for {suffix!r} files, and the lines of this one do not tell it (they fit "
        f"{words}); set data.table.separator to the character between two cells"
    )
    raise DataError(message)


def _widths(head: str, separator: str, *, whole: bool) -> list[int]:
    """Return how many cells each record has, up to the first that cannot be cut; a last one that is cut off is not."""
    widths: list[int] = []
    try:
        for _, cells in Layout(separator).records(io.StringIO(head, newline="")):
            if cells:
                widths.append(len(cells))
    except csv.Error:
        return widths
    return widths if whole else widths[:-1]
