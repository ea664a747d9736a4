"""`fedrec new`: names, and what is refused before anything is written; tests/packaging runs what it writes."""

from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError
from simulations.cli.app import app
from simulations.cli.new import Kind
from simulations.new.files import HERE, USES, class_name, write


def test_every_kind_of_the_command_has_its_two_files() -> None:
    assert {kind.value for kind in Kind} == USES.keys()
    originals = {path.name for path in HERE.glob("*new_*.py")}
    assert originals == {f"{prefix}new_{kind}.py" for kind in USES for prefix in ("", "test_")}


def test_a_copy_bears_its_own_name_and_nothing_of_the_original(tmp_path: Path) -> None:
    written = write("rule", "half_step", tmp_path / "deep" / "folder")
    assert (written.file, written.test) == tuple(
        tmp_path / "deep" / "folder" / f"{p}half_step.py" for p in ("", "test_")
    )
    assert written.use == "--set strategy.name=./half_step.py:HalfStep"
    text, test = written.file.read_text(), written.test.read_text()
    assert "class HalfStepClient(Rule)" in text
    assert "class HalfStep(FedAvg)" in text
    assert "from half_step import HalfStepClient\n" in test
    assert 'plugin = "half_step.py:HalfStep"' in test
    assert "newrule" not in (text + test).lower().replace("_", "")


def test_how_each_kind_is_used_is_said_under_its_name(tmp_path: Path) -> None:
    found = {kind: write(kind, f"my_{kind}", tmp_path).use for kind in USES}
    assert found["source"] == "--set data.name=./my_source.py:MY_SOURCE --set data.path=FOLDER"
    assert found["transform"] == """--set 'transforms=[{name="./my_transform.py:MyTransform"}]'"""
    assert found["attack"] == """--set 'transforms=[{name="./my_attack.py:MyAttack", options={share=0.25}}]'"""


@pytest.mark.parametrize(("name", "expected"), [("mine", "Mine"), ("half_step", "HalfStep"), ("top_k2", "TopK2")])
def test_a_class_is_called_as_its_module(name: str, expected: str) -> None:
    assert class_name(name) == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HalfStep", "no name of a module, for example half_step"),
        ("half-step", "for example half_step"),
        ("2nd", "lower-case letters, digits and _"),
        ("../mine", "for example mine"),
        ("", "lower-case letters"),
        ("half__step", "for example half_step"),
        ("class", "a word of Python's own"),
        ("print", "a word of Python's own"),
        ("test_mine", "taken for a test"),
        ("random", "'random' is installed"),
        ("torch", "'torch' is installed"),
        ("server", "'server' is installed"),
    ],
)
def test_a_name_that_would_not_work_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        write("strategy", name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ["mine.py", "test_mine.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{there} exists already; .*nothing was written"):
        write("model", "mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_name_is_free_again_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_my_own.py").touch()
    assert write("strategy", "of_my_own", tmp_path / "elsewhere").file.is_file()


def test_the_command_ends_with_2_and_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in ((["stratgy", "mine"], "stratgy"), (["task", "Mine"], "for example mine")):
        with pytest.raises(SystemExit) as end:
            app(["new", *arguments, "--out", str(tmp_path)])
        assert end.value.code == 2
        assert said in capsys.readouterr().err
