"""Bytes to text, or an error that names the encoding to set: a wrong letter in silence is worse than no data.

Encodings of one byte a letter decode anything, so what they make of a file is looked at: UTF-8 that was declared as one
of them, and Windows' letters read as latin-1, are refused.
"""

import codecs
import re
from pathlib import Path

from fedrec.core.errors import DataError

_ONE_BYTE = re.compile(r"(iso8859|cp125)")
_UNPRINTED = re.compile("[\x80-\x9f]")
"""Control characters that no text has; at these bytes Windows' encodings have letters and quotation marks."""

_LINE_END = re.compile(rb"\r\n?|\n")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def require_codec(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or that is none of text.

    Raises:
        DataError: If it is not.
    """
    try:
        "".encode(encoding)
    except LookupError as error:
        message = (
            f"unknown encoding {encoding!r}; set data.table.encoding to one Python knows, such as utf-8 or latin-1"
        )
        raise DataError(message) from error


def require_text(raw: bytes, encoding: str, path: Path) -> None:
    """Refuse bytes that are no text in an encoding without zero bytes.

    Args:
        raw: The beginning of the file.
        encoding: As declared.
        path: Of the file, for the message.

    Raises:
        DataError: If they are UTF-16, or another kind of file.
    """
    if "a".encode(encoding).count(0):
        return
    if raw.startswith(_UTF16_MARKS):
        message = f"{path}: is UTF-16, not {encoding}; set data.table.encoding to 'utf-16'"
        raise DataError(message)
    if 0 in raw:
        message = f"{path}: is no text, it holds zero bytes; export it as CSV (or Parquet, with the suffix .parquet)"
        raise DataError(message)


def decode(raw: bytes, encoding: str, path: Path) -> str:
    """Return the text of a whole file.

    Args:
        raw: Its bytes.
        encoding: One that passed `require_codec`.
        path: Of the file, for messages.

    Raises:
        DataError: If the bytes are not in that encoding, or plainly in another.
    """
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        message = (
            f"{path}, line {_line(raw, error.start)}: byte 0x{raw[error.start]:02x} is not {encoding}; set "
            f"data.table.encoding (perhaps to {_likely(raw)!r}), or save the file as UTF-8"
        )
        raise DataError(message) from error
    if not raw.isascii() and _ONE_BYTE.match(codecs.lookup(encoding).name):
        _require_sound(raw, text, encoding, path)
    return text


def _require_sound(raw: bytes, text: str, encoding: str, path: Path) -> None:
    """Look at what an encoding of one byte a letter made of a file."""
    if _is_utf8(raw):
        message = f"{path}: is UTF-8, and {encoding} would garble it; set data.table.encoding to 'utf-8'"
        raise DataError(message)
    if found := _UNPRINTED.search(text):
        # one byte a letter, so a place in the text is the same place in the bytes
        message = (
            f"{path}, line {_line(raw, found.start())}: byte 0x{raw[found.start()]:02x} is no letter of {encoding}; "
            "set data.table.encoding, perhaps to 'cp1252'"
        )
        raise DataError(message)


def _likely(raw: bytes) -> str:
    """Return the western encoding that has letters at all of these bytes."""
    return "cp1252" if _UNPRINTED.search(raw.decode("latin-1")) else "latin-1"


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line(raw: bytes, place: int) -> int:
    return len(_LINE_END.findall(raw, 0, place)) + 1
