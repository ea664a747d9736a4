"""An audit is a directory, private as a whole: it looks at what only a simulation sees.

```
private/audit.json       what was audited, how, and what was found
private/report.html      the same, to be read
private/checksums.json   written last: an audit is finished or not there
```
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrec.core.checksums import damage, is_sealed, seal
from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.places import PRIVATE
from fedrec.experiment.config import canonical_json
from fedrec.reporting.attacks.audit_page import render_audit

AUDIT = "audit.json"
PAGE = "report.html"

Record = Mapping[str, Any]
"""`experiment` (its name, fingerprint and TOML), `asked` (how it was audited) and `verdict` (what was found)."""


def is_audit(folder: Path) -> bool:
    """Return whether a folder holds a finished audit."""
    return is_sealed(folder / PRIVATE) and (folder / PRIVATE / AUDIT).is_file()


def claim_folder(folder: Path, identity: Record) -> Record | None:
    """Make the folder of an audit that is about to begin, or return what an audit of the same identity found there.

    Args:
        folder: Where it is to be; what a killed audit left there is no obstacle.
        identity: The record's `experiment` and `asked`.

    Raises:
        RunError: If the folder holds something else, or was damaged.
    """
    if is_audit(folder):
        record = read_audit(folder)
        if {key: record[key] for key in identity} != json.loads(canonical_json(identity)):
            message = f"{folder} holds another audit, of {record['experiment']['name']}; choose another --out"
            raise RunError(message)
        return record
    if folder.is_file():
        message = f"{folder} is a file; choose another --out"
        raise RunError(message)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    ours = tuple(f"{PRIVATE}/{start}{name}" for name in (AUDIT, PAGE) for start in ("", "."))
    if others := [file for file in files if not file.startswith(ours)]:
        message = f"{folder} exists and is no audit: it holds {sorted(others)[0]}; choose another --out"
        raise RunError(message)
    (folder / PRIVATE).mkdir(parents=True, exist_ok=True)
    return None


def write_audit(folder: Path, record: Record) -> None:
    """Write a finished audit and its page."""
    text = json.dumps(json.loads(canonical_json(record)), indent=1) + "\n"
    write_whole(folder / PRIVATE / AUDIT, text)
    write_whole(folder / PRIVATE / PAGE, render_audit(json.loads(text)))
    seal(folder / PRIVATE, [AUDIT])


def read_audit(folder: Path) -> Record:
    """Return what a finished audit wrote.

    Raises:
        RunError: If it is not what was written.
    """
    if found := damage(folder / PRIVATE):
        message = f"{found}; restore it, or audit anew with another --out"
        raise RunError(message)
    record: Record = json.loads((folder / PRIVATE / AUDIT).read_text(encoding="utf-8"))
    return record


def render_again(folder: Path) -> Path:
    """Write the page of a finished audit anew and return its place.

    Raises:
        RunError: If the audit is not what was written.
    """
    page = folder.absolute() / PRIVATE / PAGE
    write_whole(page, render_audit(read_audit(folder)))
    return page
