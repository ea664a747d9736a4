"""Code of the user's own: found by module and by file, from wherever it is named."""

import sys
from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.core.own_code import file_in, folder_of, load, search_also, searched
from fedrec.core.registry import Registry
from fedrec.experiment.file import dump_experiment, load_experiment

NEIGHBOUR = "from neighbour_of_thing import VALUE\n\n\nclass Thing:\n    value = VALUE\n"


@pytest.fixture(autouse=True)
def import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy: what a test puts there is gone after it."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def strategies() -> dict[str, Registry[type]]:
    return {"strategy.name": Registry("strategy")}


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("reference", "file"),
    [
        ("./mine.py:Mine", "mine.py"),
        ("a/b.py:C", "a/b.py"),
        ("/a/b.py:C", "/a/b.py"),
        ("a.b:C", None),
        ("fedavg", None),
    ],
)
def test_a_file_is_told_from_a_module_by_its_ending(reference: str, file: str | None) -> None:
    assert file_in(reference) == (None if file is None else Path(file))


def test_a_file_is_loaded_once_and_finds_its_neighbours(tmp_path: Path) -> None:
    written(tmp_path / "neighbour_of_thing.py", "VALUE = 7\n")
    file = written(tmp_path / "a file.py", NEIGHBOUR)
    thing = load(f"{file}:Thing")
    assert thing.value == 7
    assert load(f"{file}:Thing") is thing
    assert sys.path[-1] == str(tmp_path)


def test_a_file_hides_no_module_of_its_name(tmp_path: Path) -> None:
    import json

    assert load(f"{written(tmp_path / 'json.py', 'class Thing: pass')}:Thing").__name__ == "Thing"
    assert sys.modules["json"] is json


def test_a_file_that_fails_is_read_again_the_next_time(tmp_path: Path) -> None:
    file = written(tmp_path / "thing.py", "1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load(f"{file}:Thing")
    written(file, "class Thing: pass\n# longer, so that no compiled file is taken for it\n")
    assert load(f"{file}:Thing").__name__ == "Thing"


def test_a_module_tells_the_folder_it_was_found_in_unless_it_is_installed(tmp_path: Path) -> None:
    written(tmp_path / "one" / "module_of_mine.py", "class Thing: pass")
    written(tmp_path / "two" / "package_of_mine" / "__init__.py", "")
    written(tmp_path / "two" / "package_of_mine" / "part.py", "class Thing: pass")
    for folder in ("one", "two", "two"):
        search_also(tmp_path / folder)
    assert sys.path[-2:] == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert searched()[-2:] == sys.path[-2:]
    assert folder_of("module_of_mine:Thing") == tmp_path / "one"
    assert folder_of("package_of_mine.part:Thing") == tmp_path / "two"
    for reference in ("fedavg", "/a/file.py:Thing", "flwr.serverapp.strategy:FedAvg", "sys:path", "json:loads"):
        assert folder_of(reference) is None
    with pytest.raises(ImportError, match="No module named 'no_such_module'"):
        folder_of("no_such_module:Thing")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "ImportError: there is no file .*thing.py"),
        ("", "AttributeError: module .* has no attribute 'Thing'"),
        ("class Thing:\n", r"IndentationError: .*\(thing.py, line 1\)"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_with_a_file_is_the_users_matter_and_said(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        written(tmp_path / "thing.py", text)
    with pytest.raises(ConfigError, match=rf"cannot be imported \({reason}.*\); write .*file.py:Class; looked in"):
        Registry("strategy").get(f"{tmp_path / 'thing.py'}:Thing")


def test_a_message_of_ours_comes_out_as_it_is(tmp_path: Path) -> None:
    text = "from server.base import MeanStrategy\nclass Thing(MeanStrategy):\n    def accept(self): ...\n"
    with pytest.raises(PrivacyError, match="strategy Thing overrides accept"):
        Registry("strategy").get(f"{written(tmp_path / 'thing.py', text)}:Thing")


def test_a_module_that_is_not_found_says_where_it_was_looked_for(
    tmp_path: Path, strategies: dict[str, Registry[type]]
) -> None:
    file = written(tmp_path / "mine.toml", '[strategy]\nname = "no_such_module:Thing"\n')
    with pytest.raises(ConfigError, match=rf"looked in .*{tmp_path} and among what is installed"):
        load_experiment(file, [], None, strategies)


def test_a_path_counts_from_the_file_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategies: dict[str, Registry[type]]
) -> None:
    place = written(tmp_path / "there" / "mine.py", "class Mine: pass\n")
    file = written(tmp_path / "there" / "mine.toml", '[strategy]\nname = "./mine.py:Mine"\n')
    here = written(tmp_path / "here" / "mine.toml", 'extends = "../there/mine.toml"\n').parent
    monkeypatch.chdir(here)
    found = [
        load_experiment("mine.toml", [], None, strategies),
        load_experiment(None, ["strategy.name=../there/mine.py:Mine"], None, strategies),
        load_experiment(file, [], None, strategies),
    ]
    assert {experiment.strategy.name for experiment in found} == {f"{place}:Mine"}
    again = written(tmp_path / "experiment.toml", dump_experiment(found[0]))
    assert load_experiment(again, []).fingerprint == found[0].fingerprint


def test_a_module_is_found_beside_each_file_of_an_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategies: dict[str, Registry[type]]
) -> None:
    written(tmp_path / "base" / "beside_the_base.py", "class Mine: pass\n")
    written(tmp_path / "base" / "base.toml", '[strategy]\nname = "beside_the_base:Mine"\n')
    file = written(tmp_path / "mine" / "mine.toml", 'extends = "../base/base.toml"\n')
    monkeypatch.chdir(written(tmp_path / "elsewhere" / "nothing", "").parent)
    assert load_experiment(file, [], None, strategies).strategy.name == "beside_the_base:Mine"
    assert [str(tmp_path / name) for name in ("base", "mine")] == sys.path[-2:]


def test_the_folder_of_the_scenarios_holds_no_code_of_the_users(
    tmp_path: Path, strategies: dict[str, Registry[type]]
) -> None:
    strategies["strategy.name"].register("fedavg")(object)
    written(tmp_path / "movielens.toml", "rounds = 3\n")
    load_experiment("movielens", [], tmp_path, strategies)
    assert str(tmp_path) not in sys.path
