"""Plug-ins by name, by entry point and by dotted path."""

from importlib.metadata import EntryPoint

import pytest

from fedrec.core import registry
from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry, suggest


@pytest.fixture
def fruit() -> Registry[str]:
    fruit: Registry[str] = Registry("fruit", group="orchard")
    fruit.register("pear")("green")
    fruit.register("apple")("red")
    return fruit


def test_names_are_sorted_and_lead_to_their_entries(fruit: Registry[str]) -> None:
    assert fruit.names() == ["apple", "pear"]
    assert fruit.get("pear") == "green"


def test_register_returns_what_it_files(fruit: Registry[str]) -> None:
    assert fruit.register("plum")("blue") == "blue"


def test_a_name_is_taken_once(fruit: Registry[str]) -> None:
    with pytest.raises(ValueError, match="fruit 'pear' is registered twice"):
        fruit.register("pear")("yellow")


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names(fruit: Registry[str]) -> None:
    with pytest.raises(ConfigError, match=r"unknown fruit 'aple'; did you mean 'apple'\? Known: apple, pear"):
        fruit.get("aple")


def test_entry_points_of_other_packages_are_found(fruit: Registry[str], monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("pi", "math:pi", "orchard")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "orchard" else [])
    assert fruit.names() == ["apple", "pear", "pi"]
    assert fruit.get("pi") == pytest.approx(3.14159, abs=1e-5)


def test_a_dotted_path_is_imported(fruit: Registry[object]) -> None:
    assert fruit.get("fedrec.core.errors:ConfigError") is ConfigError


@pytest.mark.parametrize("path", ["no_such_module:Thing", "fedrec.core.errors:NoSuchThing"])
def test_a_dotted_path_that_cannot_be_imported_says_why(fruit: Registry[str], path: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be imported \(.+\); write package.module:Class"):
        fruit.get(path)


def test_suggest_names_the_nearest_word_or_nothing() -> None:
    assert suggest("rouns", ["rounds", "seed"]) == "; did you mean 'rounds'?"
    assert suggest("xyz", ["rounds", "seed"]) == ""
    assert suggest("rounds", []) == ""
