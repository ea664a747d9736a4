"""Checksums of files that are read back: what a disk damaged, or a hand edited, is never taken for what was written.

A folder is *sealed* once its `checksums.json` lists the sha256 of each of its files; the list is written last, so a
sealed folder was whole once.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from fedrec.core.files import sha256_of, write_whole

FILE = "checksums.json"


def seal(folder: Path, names: Iterable[str] | None = None) -> None:
    """List the checksums of a folder's files.

    Args:
        folder: Must exist.
        names: Files to list, by path below the folder; all there are if not given.
    """
    if names is None:
        names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = {name: sha256_of(folder / name) for name in sorted(names) if name != FILE}
    write_whole(folder / FILE, json.dumps(sums, indent=1) + "\n")


def is_sealed(folder: Path) -> bool:
    """Return whether a folder was whole once."""
    return (folder / FILE).is_file()


def damage(folder: Path) -> str:
    """Return what of a sealed folder is not as it was sealed, in words; "" if all is.

    Files that the list does not name are not looked at. A damaged list is an error like that of a damaged file.
    """
    try:
        sums: dict[str, str] = dict(json.loads((folder / FILE).read_text(encoding="utf-8")))
        for name, expected in sums.items():
            path = folder / name
            if not path.is_file():
                return f"{path} is missing"
            if sha256_of(path) != expected:
                return f"{path} is not what was written: its sha256 is another"
    except (OSError, ValueError) as error:
        return f"{folder / FILE} cannot be read ({error})"
    return ""
