"""Experiments in files and on the command line: read, checked all at once, written back.

A TOML file has the sections of `Experiment`; at its top, `extends = "movielens"` starts from a scenario or
another file. Settings `path=value` come last; a value is TOML, or else a bare string.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomli_w

from fedrec.core.errors import ConfigError
from fedrec.core.own_code import folder_of, search_also
from fedrec.core.registry import Registry
from fedrec.experiment.config import Experiment
from fedrec.experiment.layers import CODE_KEYS, Keys, Written, flatten, found_at, read_written
from fedrec.experiment.mistakes import Mistake, evaluator, unknown_names

_NO_REGISTRIES: Mapping[str, Registry[Any]] = MappingProxyType({})


def load_experiment(
    source: str | Path | None,
    settings: Sequence[str],
    scenarios: Path | None = None,
    registries: Mapping[str, Registry[Any]] = _NO_REGISTRIES,
) -> Experiment:
    """Return the experiment that a scenario or file describes, with settings over it.

    Args:
        source: Name of a scenario, or path of a TOML file; None starts from the defaults.
        settings: Entries such as `privacy.epsilon=8`; a later one wins.
        scenarios: Folder with one TOML file per scenario; None knows no scenario.
        registries: Registry of the name or names at each dotted path ("strategy.name", "platforms.*.name"), to report
            unknown names among the other mistakes. With any, the folders of the files that are read go last on the
            import path: code may be named there, and may lie beside the file that names it.

    Raises:
        ConfigError: If anything is wrong; the message lists every mistake, each with its place.
    """
    written = read_written(source, settings, scenarios)
    for folder in written.folders if registries else ():
        search_also(folder)
    experiment, found = evaluator(written.tree, registries)
    # what an unreadable file would have set is unknown, so only what was read can be blamed
    shown = [one for one in found if written.whole or all(written.place_of(keys) for keys in one.about)]
    placed = [f"{_place(written, one)}{one.reason}" for one in shown]
    if mistakes := [*written.mistakes, *placed]:
        raise ConfigError(_listed(mistakes))
    return experiment


def code_folders(experiment: Experiment) -> list[Path]:
    """Return the folders of the import path in which modules of the user's own were found that an experiment names.

    Raises:
        ImportError: If there is no such module.
    """
    tree = experiment.model_dump()
    found = (folder_of(name) for keys in sorted(CODE_KEYS) for _, name in found_at(tree, keys))
    return list(dict.fromkeys(folder for folder in found if folder is not None))


def check_names(experiment: Experiment, registries: Mapping[str, Registry[Any]]) -> None:
    """Raise a ConfigError that lists every name its registry does not have.

    Args:
        experiment: As loaded, or made in Python.
        registries: Registry of the name or names at each dotted path, such as "strategy.name".
    """
    if mistakes := [mistake.reason for mistake in unknown_names(experiment, registries)]:
        raise ConfigError(_listed(mistakes))


def dump_experiment(experiment: Experiment) -> str:
    """Return the experiment as resolved, in TOML; keys without a value are left out.

    Loading the text gives an experiment with the same fingerprint, if its paths are absolute, as those of
    `load_experiment` are.
    """
    unused = {"data"} if experiment.platforms else {"platforms"}
    return tomli_w.dumps(experiment.model_dump(mode="json", exclude_none=True, exclude=unused))


def differing_keys(a: Experiment, b: Experiment) -> list[str]:
    """Return the dotted path of each key that differs, with its value in `a` and in `b`, sorted."""
    of_a, of_b = (dict(flatten(experiment.model_dump(mode="json"))) for experiment in (a, b))
    # an empty table and its entries in the other experiment are one difference, told by the entries
    keys = sorted(
        key for key in of_a.keys() | of_b.keys() if of_a.get(key) != of_b.get(key) and not _is_empty(key, of_a, of_b)
    )
    return [f"{'.'.join(key)}: {_shown(of_a.get(key))}, now {_shown(of_b.get(key))}" for key in keys]


def _place(written: Written, mistake: Mistake) -> str:
    """Return where the first of the mistake's keys was written, as a prefix; "" if none was."""
    return next((f"{place}: " for keys in mistake.about if (place := written.place_of(keys))), "")


def _is_empty(keys: Keys, *trees: Mapping[Keys, Any]) -> bool:
    return any(tree.get(keys) == {} for tree in trees)


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def _listed(mistakes: Sequence[str]) -> str:
    if len(mistakes) == 1:
        return mistakes[0]
    return "\n  ".join([f"{len(mistakes)} mistakes in the experiment:", *mistakes])
