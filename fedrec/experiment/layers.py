"""What was written about an experiment, before it is judged: files, what they extend, and settings.

Layers lie on each other key by key: a file over the file it extends, settings over files. Each value keeps
the place where it was written, so that a mistake can be shown there. Relative paths count from the folder
of their file, or from the current folder for settings, and become absolute: a run can be resumed anywhere. So do
paths of files with code (`strategy.name = "./mine.py:Mine"`).
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedrec.core.own_code import file_in
from fedrec.core.registry import suggest

Keys = tuple[str, ...]

PATH_KEYS: frozenset[Keys] = frozenset(
    {("data", "path"), ("data", "table", "items_path"), ("data", "table", "users_path")}
)
CODE_KEYS: frozenset[Keys] = frozenset(
    {(section, "name") for section in ("strategy", "transforms", "task", "model", "adapter", "data")}
)
"""What may name code, `folder/file.py:Class` or `package.module:Class`; in a list of tables, in each of them."""

_HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*([\w."'-]+(?:\s*\.\s*[\w."'-]+)*)\s*=""")


@dataclass
class Written:
    """All layers, merged.

    Attributes:
        values: Value of each key that was written; a value is never a table, unless an empty one.
        places: Where each of them was written: `file:line`, or `--set`.
        mistakes: What could not be read.
        whole: Whether every file could be read.
        folders: Where the files lie, but for the scenarios: code of the user's own may lie beside them.
    """

    values: dict[Keys, Any] = field(default_factory=dict)
    places: dict[Keys, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    whole: bool = True
    folders: list[Path] = field(default_factory=list)

    def put_(self, keys: Keys, value: Any, place: str) -> None:
        """Set one key, in place of whatever was written at, above or below it."""
        for other in [other for other in self.values if overlap(keys, other)]:
            del self.values[other]
        self.values[keys] = value
        self.places[keys] = place

    def place_of(self, keys: Keys) -> str:
        """Return where a key, or something in its section, was written; "" for what was not."""
        return next((self.places[other] for other in self.values if overlap(keys, other)), "")

    @property
    def tree(self) -> dict[str, Any]:
        """The values as nested tables."""
        tree: dict[str, Any] = {}
        for keys, value in self.values.items():
            table = tree
            for key in keys[:-1]:
                table = table.setdefault(key, {})
            table[keys[-1]] = value
        return tree


def read_written(source: str | Path | None, settings: Sequence[str], scenarios: Path | None) -> Written:
    """Return what a scenario or file, and settings over it, say; nothing is judged but what cannot be read."""
    written = Written()
    if source is not None:
        _read_file_(written, source, Path.cwd(), scenarios, ())
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = tuple(key.strip() for key in path.split("."))
        if not equals or not all(keys):
            written.mistakes.append(f"--set {setting}: write path=value, such as privacy.epsilon=8")
            continue
        for below, value in flatten(_value(text)):
            written.put_((*keys, *below), _absolute((*keys, *below), value, Path.cwd()), "--set")
    return written


def scenario_files(scenarios: Path | None) -> dict[str, Path]:
    """Return the file of each scenario in a folder by name, sorted; none without a folder."""
    return {path.stem: path for path in sorted(scenarios.glob("*.toml"))} if scenarios else {}


def section_keys(keys: Keys) -> Keys:
    """Return keys as the sections have them: what is in `platforms.NAME` is what is in `data`.

    The place of an entry in a list of tables is left out.
    """
    if keys[:1] == ("platforms",) and len(keys) > 1:
        return ("data", *keys[2:])
    return tuple(key for key in keys if not key.isdigit())


def found_at(tree: Any, keys: Keys, above: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield what lies at a path of keys, with its keys.

    Where there is a list on the way, it is what lies there in each of its entries; `*` stands for every key of a table.
    """
    if isinstance(tree, list | tuple):
        for entry in tree:
            yield from found_at(entry, keys, above)
    elif keys:
        for key in tree if keys[0] == "*" else keys[:1]:
            yield from found_at(tree[key], keys[1:], (*above, key))
    elif tree is not None:
        yield above, tree


def overlap(one: Keys, other: Keys) -> bool:
    """Whether the keys are the same, or one holds the other."""
    return all(left == right for left, right in zip(one, other, strict=False))


def flatten(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield each entry of nested tables with its keys; an empty table is an entry."""
    if not isinstance(value, Mapping) or not value:
        yield keys, value
        return
    for key, entry in value.items():
        yield from flatten(entry, (*keys, key))


def _read_file_(
    written: Written, source: str | Path, folder: Path, scenarios: Path | None, extending: tuple[Path, ...]
) -> None:
    """Put a file over what it extends; `extending` are the files that led here."""
    try:
        path = _locate(source, folder, scenarios, extending)
        text = path.read_text(encoding="utf-8")
        tree = _parse(path, text)
    except UnicodeDecodeError:
        written.mistakes.append(f"{source}: not UTF-8 text; an experiment is a TOML file")
    except (ValueError, OSError) as error:
        written.mistakes.append(str(error))
    else:
        base = tree.pop("extends", None)
        if isinstance(base, str):
            _read_file_(written, base, path.parent, scenarios, (*extending, path))
        elif base is not None:
            written.mistakes.append(f"{path}: extends = {base!r}: should be the name of a scenario or file")
        _put_file_(written, tree, path, _lines(text))
        if path not in scenario_files(scenarios).values() and path.parent not in written.folders:
            written.folders.append(path.parent)
        return
    written.whole = False


def _put_file_(written: Written, tree: dict[str, Any], path: Path, lines: dict[Keys, int]) -> None:
    for keys, value in flatten(tree):
        # an empty section says nothing: what the extended file has there stays
        if keys and not (value == {} and written.place_of(keys)):
            line = next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), None)
            place = str(path) if line is None else f"{path}:{line}"
            written.put_(keys, _absolute(keys, value, path.parent), place)


def _locate(source: str | Path, folder: Path, scenarios: Path | None, extending: tuple[Path, ...]) -> Path:
    """Return the file of a scenario's name, or of a path relative to `folder`; not one that is being extended."""
    known = scenario_files(scenarios)
    path = known.get(str(source), folder / Path(source).expanduser()).resolve()
    if not path.is_file():
        names = ", ".join(known) or "none here"
        message = (
            f"{str(source)!r} is neither a scenario nor a TOML file{suggest(str(source), known)} (scenarios: {names})"
        )
        raise ValueError(message)
    if path in extending:
        message = f"{path}: extends itself: {' -> '.join(file.name for file in (*extending, path))}"
        raise ValueError(message)
    return path


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: not valid TOML: {error}"
        raise ValueError(message) from error


def _value(text: str) -> Any:
    """Return what TOML reads, or the bare text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _absolute(keys: Keys, value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(keys, entry, folder) for entry in value]
    if isinstance(value, dict):
        return {key: _absolute((*keys, key), entry, folder) for key, entry in value.items()}
    if not isinstance(value, str):
        return value
    if section_keys(keys) in PATH_KEYS:
        return _below(folder, Path(value).expanduser())
    if keys in CODE_KEYS and (file := file_in(value)) is not None:
        return f"{_below(folder, file)}:{value.rpartition(':')[2]}"
    return value


def _below(folder: Path, path: Path) -> str:
    """Return the absolute path; links stay as the user wrote them."""
    return str(path) if path.is_absolute() else os.path.abspath(folder / path)  # noqa: PTH100


def _lines(text: str) -> dict[Keys, int]:
    """Return the line of each key that starts a line; a glance, not a parser: good enough to point there."""
    lines: dict[Keys, int] = {}
    section: Keys = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _split(header[1])
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            lines.setdefault((*section, *_split(key[1])), number)
    return lines


def _split(dotted: str) -> Keys:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
