"""Code of the user's own, by name: `package.module:Thing` on the import path, or `folder/file.py:Thing`.

Folders of the user's go last on the import path: what lies there is found, and hides nothing.
"""

import re
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

_IN_FILE = re.compile(r"(?P<file>.+\.py):(?P<thing>[^:/]+)")


def file_in(reference: str) -> Path | None:
    """Return the file that a reference names; None if it names a module, or is a registered name."""
    found = _IN_FILE.fullmatch(reference)
    return Path(found["file"]).expanduser() if found else None


def search_also(folder: Path) -> None:
    """Put a folder last on the import path, unless it is there."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def load(reference: str) -> Any:
    """Return what a reference names; a file's own folder is searched for what the file imports.

    Raises:
        ImportError: If there is no such module or file.
        AttributeError: If there is no such thing in it.
        Exception: Whatever the code itself raises.
    """
    file = file_in(reference)
    module, _, thing = reference.rpartition(":")
    return getattr(import_module(module) if file is None else _module_at(file.resolve()), thing)


def folder_of(reference: str) -> Path | None:
    """Return the folder on the import path, one of `searched`, in which a reference's module was found.

    Returns:
        None for a file, which says itself where it lies, for a registered name, and for what is installed.

    Raises:
        ImportError: If there is no such module.
    """
    if ":" not in reference or file_in(reference) is not None:
        return None
    top = import_module(reference.partition(":")[0].partition(".")[0])
    places = [getattr(top, "__file__", None), *getattr(top, "__path__", ())]
    folders = {str(Path(place).parent.absolute()) for place in places if place}
    return next((Path(folder) for folder in searched() if folder in folders), None)


def searched() -> list[str]:
    """Return the folders of the import path that belong to no Python installation, in their order."""
    installed = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    folders = dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path)
    return [folder for folder in folders if not any(Path(folder).resolve().is_relative_to(one) for one in installed)]


def _module_at(file: Path) -> ModuleType:
    """Return the module that a file makes, once a process; it is called by its path, which no other module is."""
    name = str(file)
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.is_file():
        message = f"there is no file {file}"
        raise ImportError(message)
    search_also(file.parent)
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
