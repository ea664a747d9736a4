"""Copying a kind's file and its test under a name of the user's own."""

import builtins
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from fedrec.core.errors import ConfigError

PACKAGES = ("fedrec", "server", "clients", "simulations")
HERE = Path(__file__).parent
OURS = "simulations.new."
"""Where the originals lie; in the copies a module lies beside its test."""

USES: Mapping[str, str] = MappingProxyType(
    {
        "strategy": "--set strategy.name={file}:{Class}",
        "rule": "--set strategy.name={file}:{Class}",
        "transform": "--set 'transforms=[{{name=\"{file}:{Class}\"}}]'",
        "task": "--set task.name={file}:{Class}",
        "model": "--set model.name={file}:{Class} --set adapter.name=full",
        "source": "--set data.name={file}:{CONSTANT} --set data.path=FOLDER",
        "attack": "--set 'transforms=[{{name=\"{file}:{Class}\", options={{share=0.25}}}}]'",
    }
)
"""Kind -> how an experiment names it."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        file: The plug-in.
        test: Its test.
        use: What is added to `fedrec run` to use it, called in the plug-in's folder.
    """

    file: Path
    test: Path
    use: str


def write(kind: str, name: str, folder: Path) -> Written:
    """Write a plug-in and its test, which work as they are.

    Args:
        kind: One of `USES`.
        name: Of the module; its class is called likewise, `half_step` -> `HalfStep`.
        folder: Where to; made if it is not there.

    Raises:
        ConfigError: If there is no such kind, the name is no good name, or a file is there already; nothing is written.
    """
    if kind not in USES:
        message = f"no kind {kind!r}; there are {', '.join(USES)}"
        raise ConfigError(message)
    check_name(name)
    file, test = folder / f"{name}.py", folder / f"test_{name}.py"
    if there := [str(path) for path in (file, test) if path.exists()]:
        message = f"{' and '.join(there)} exists already; choose another name or --out, nothing was written"
        raise ConfigError(message)
    folder.mkdir(parents=True, exist_ok=True)
    for original, copy in ((f"new_{kind}.py", file), (f"test_new_{kind}.py", test)):
        copy.write_text(renamed((HERE / original).read_text(encoding="utf-8"), kind, name), encoding="utf-8")
    words = {"file": f"./{file.name}", "Class": class_name(name), "CONSTANT": name.upper()}
    return Written(file, test, USES[kind].format(**words))


def renamed(text: str, kind: str, name: str) -> str:
    """Return an original under the plug-in's own name."""
    old = f"new_{kind}"
    names = {f"{OURS}{old}": name, old: name, class_name(old): class_name(name), old.upper(): name.upper()}
    for one, other in names.items():
        text = text.replace(one, other)
    return text


def class_name(name: str) -> str:
    """Return the class of a module: `half_step` -> `HalfStep`."""
    return "".join(part.capitalize() for part in name.split("_"))


def check_name(name: str) -> None:
    """Refuse what is no name of a module, or the name of one that its copy would hide or be hidden by.

    Raises:
        ConfigError: Saying which names are good.
    """
    good = "write a name such as half_step: lower-case letters, digits and _, the first a letter"
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
        near = f", for example {plain}" if re.fullmatch(r"[a-z][a-z0-9_]*", plain) else ""
        message = f"{name!r} is no name of a module{near}; {good}"
        raise ConfigError(message)
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        message = f"{name!r} is a word of Python's own; choose another name"
        raise ConfigError(message)
    if name.startswith("test_") or name == "test":
        message = f"{name!r} would be taken for a test by pytest; choose a name that does not start with test"
        raise ConfigError(message)
    if name in {*sys.stdlib_module_names, *PACKAGES} or _is_installed(name):
        message = f"a module {name!r} is installed, and one would hide the other; choose another name"
        raise ConfigError(message)


def _is_installed(name: str) -> bool:
    """Return whether a module of this name is found outside of the working folder."""
    found = find_spec(name)
    if found is None:
        return False
    places = [found.origin, *(found.submodule_search_locations or ())]
    return not any(place and Path(place).parent == Path.cwd() for place in places)
