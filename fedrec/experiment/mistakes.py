"""Every mistake in an experiment at once, in the user's words.

Pydantic validates; here its errors become messages that name the key, what was found and what is allowed,
with a suggestion. Then come the rules that need more than one key, and names that must be registered.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry, suggest
from fedrec.experiment.config import Experiment
from fedrec.experiment.layers import Keys, found_at, overlap, section_keys
from fedrec.experiment.rules import RULES
from fedrec.experiment.section import Section

Registries = Mapping[str, Registry[Any]]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong: the keys it is about, and why."""

    about: tuple[Keys, ...]
    reason: str


def evaluator(tree: Mapping[str, Any], registries: Registries) -> tuple[Experiment, list[Mistake]]:
    """Return the experiment with defaults in place of what is wrong, and all that is wrong.

    Args:
        tree: What was written, as nested tables.
        registries: Registry of the name or names at each dotted path; `*` stands for every entry of a table.
    """
    try:
        experiment, mistakes = _validated(tree), []
    except ValidationError as error:
        mistakes = _translated(error.errors(include_url=False), tree)
        experiment = _validated(_without(tree, [keys for mistake in mistakes for keys in mistake.about]))
    further = [*broken_rules(experiment), *unknown_names(experiment, registries)]
    return experiment, [*mistakes, *(one for one in further if not _touches(one, mistakes))]


def broken_rules(experiment: Experiment) -> Iterator[Mistake]:
    """Yield what is wrong by the rules of `fedrec.experiment.rules`."""
    for rule in RULES:
        if reason := rule.broken(experiment):
            yield Mistake(rule.about, reason)


def unknown_names(experiment: Experiment, registries: Registries) -> Iterator[Mistake]:
    """Yield each name that its registry does not have."""
    tree = experiment.model_dump()
    for dotted, registry in registries.items():
        for keys, name in found_at(tree, tuple(dotted.split("."))):
            try:
                registry.get(name)
            except ConfigError as error:
                yield Mistake((keys,), f"{'.'.join(keys)}: {error}")


def _touches(mistake: Mistake, others: Sequence[Mistake]) -> bool:
    return any(overlap(one, keys) for one in mistake.about for other in others for keys in other.about)


def _validated(tree: Mapping[str, Any]) -> Experiment:
    # strict, so that true is no number and "5" no integer; by way of JSON, whose arrays are tuples
    return Experiment.model_validate_json(json.dumps(tree, default=str), strict=True)


def _translated(errors: Sequence[ErrorDetails], tree: Mapping[str, Any]) -> list[Mistake]:
    """Return one mistake per key; the alternatives of a union are joined."""
    grouped: dict[Keys, list[ErrorDetails]] = {}
    for error in errors:
        grouped.setdefault(_existing(error["loc"], tree), []).append(error)
    return [Mistake((keys,), _reason(keys, group)) for keys, group in grouped.items()]


def _existing(location: Sequence[int | str], tree: Mapping[str, Any]) -> Keys:
    """Return the part of a pydantic location that the user wrote; unions append the name of a type.

    An entry of a list of tables is named by its place, from 0.
    """
    node: Any = tree
    keys: list[str] = []
    for step in location:
        tables = isinstance(node, list) and isinstance(step, int) and section_keys(tuple(keys)) in _SECTIONS
        if not tables and (not isinstance(node, Mapping) or step not in node):
            break
        keys.append(str(step))
        node = node[step]
    return tuple(keys)


def _reason(keys: Keys, errors: Sequence[ErrorDetails]) -> str:
    error = errors[0]
    dotted = ".".join(keys)
    if error["type"] == "missing":
        return f"{dotted} = {_shown(error['input'])}: has no {error['loc'][-1]}"
    if error["type"] == "extra_forbidden":
        return _unknown_key(keys)
    if error["type"] == "model_type":
        known = ", ".join(_SECTIONS[section_keys(keys)])
        return f"{dotted} = {_shown(error['input'])}: is a section; its keys are {known}"
    allowed = list(dict.fromkeys(entry["msg"].removeprefix("Input should be ") for entry in errors))
    reason = f"{dotted} = {_shown(error['input'])}: should be {' or '.join(allowed)}"
    if error["type"] == "literal_error":
        reason += suggest(str(error["input"]), re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    if error["type"] == "tuple_type":
        reason += f", such as {json.dumps([error['input']], default=str)}"
    return reason


def _unknown_key(keys: Keys) -> str:
    *above, word = keys
    section = section_keys(tuple(above))
    homes = [".".join((*other, word)) for other, names in _SECTIONS.items() if word in names and other != section]
    elsewhere = f"; it exists as {' and '.join(homes)}" if homes else ""
    title = f"[{'.'.join(above)}]" if above else "the top level"
    known = _SECTIONS[section]
    return f"{'.'.join(keys)} is not a key{suggest(word, known)}{elsewhere} (keys of {title}: {', '.join(known)})"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _without(tree: Mapping[str, Any], wrong: Sequence[Keys]) -> dict[str, Any]:
    """Return the tree without some keys; without all, if the whole tree is wrong. A list is left out as a whole."""
    here = {keys[0] for keys in wrong if keys and (len(keys) == 1 or not isinstance(tree[keys[0]], Mapping))}
    kept = {} if () in wrong else {key: value for key, value in tree.items() if key not in here}
    below = {key: [keys[1:] for keys in wrong if keys[:1] == (key,)] for key in kept}
    return {key: _without(value, below[key]) if below[key] else value for key, value in kept.items()}


def _sections(section: type[Section], keys: Keys = ()) -> Iterator[tuple[Keys, list[str]]]:
    yield keys, list(section.model_fields)
    for name, entry in section.model_fields.items():
        for kind in (entry.annotation, *get_args(entry.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from _sections(kind, (*keys, name))


_SECTIONS: dict[Keys, list[str]] = dict(_sections(Experiment))
