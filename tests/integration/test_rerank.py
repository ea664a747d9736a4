"""`fedrec rerank` on a finished run: validation users pick, test users are asked once, private ones pick nothing."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.run.directory import RunDirectory
from simulations.cli.app import app
from tests.integration.made_up import finished

CALIBRATED = ("--method", "calibrated", "--candidates", "20")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished(tmp_path_factory.mktemp("rerank") / "open")


def call(of: RunDirectory, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["rerank", str(of.path), "--quiet", *arguments])


def test_validation_users_see_all_weights_and_test_users_the_picked_one(done: RunDirectory, tmp_path: Path) -> None:
    file = tmp_path / "price.json"
    result = call(done, *CALIBRATED, "--weight", "0,.2,.9", "--loss", "0.5", "--json", "--out", str(file))
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert json.loads(file.read_text()) == found
    assert [row["weight"] for row in found["validation"]] == [0, 0.2, 0.9]
    assert (found["improves"], found["metric"], found["disclosure"]) == ("miscalibration", "ndcg@10", "released")
    first, *others = found["validation"]
    assert first["price"]["mean"] == first["gain"]["mean"] == 0
    for row in others:
        assert row["price"]["mean"] == pytest.approx(row["score"] - first["score"])
        assert row["gain"]["mean"] == pytest.approx(row["improved"] - first["improved"])
        assert row["gain"]["low"] <= row["gain"]["mean"] <= row["gain"]["high"] <= 0
    able = [row for row in found["validation"] if row["score"] >= 0.5 * first["score"]]
    assert found["picked"] == min(able, key=lambda row: row["improved"])["weight"] > 0
    assert [row["weight"] for row in found["test"]] == [0, found["picked"]]
    # weight 0 is the run's own result
    assert found["test"][0]["metrics"] == pytest.approx(done.summary()["metrics"]["test"]["last20"])


def test_test_users_are_asked_once(done: RunDirectory) -> None:
    asked = (*CALIBRATED, "--weight", "0,.2,.9", "--loss", "0.5")
    first, again = (json.loads(call(done, *asked, "--json").stdout) for _ in range(2))
    assert again == first
    other = call(done, *CALIBRATED, "--weight", ".3")
    assert other.exit_code == 2
    assert "loss = 0.5, weights = [0.2, 0.9]: to ask again with other settings would be to pick" in other.stderr
    free = call(done, *CALIBRATED, "--weight", ".3", "--no-test", "--json")
    assert free.exit_code == 0
    assert "test" not in json.loads(free.stdout)
    (done.private / "asked" / "rerank-calibrated.json").write_text("{")
    broken = call(done, *asked)
    assert broken.exit_code != 0
    assert "rerank-calibrated.json is damaged" in broken.stderr


def test_what_is_too_dear_is_not_picked(done: RunDirectory) -> None:
    found = json.loads(call(done, *CALIBRATED, "--weight", "1", "--loss", "0", "--no-test", "--json").stdout)
    zero, one = found["validation"]
    assert found["picked"] == (1.0 if one["score"] >= zero["score"] else 0.0)


def test_the_table_is_shown(done: RunDirectory) -> None:
    shown = call(done, *CALIBRATED, "--weight", ".9", "--no-test").stdout
    for text in ("Validation users, last20", "miscalibration", "ndcg@10", "0.9", "Picked: weight"):
        assert text in shown, text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--method", "mmr"), "reads no text"),
        ((*CALIBRATED, "--weight", "a,b"), "--weight a,b: write numbers"),
        ((*CALIBRATED, "--weight", "2"), "weight 2: a weight lies between 0"),
        (("--method", "calibrated", "--candidates", "3"), "the longest list has 10 items"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(done: RunDirectory, arguments: tuple[str, ...], told: str) -> None:
    result = call(done, *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())


def test_private_held_out_users_pick_nothing_and_their_price_is_private(tmp_path: Path) -> None:
    changes = {
        "privacy": {"epsilon": 8.0, "trust": "central"},
        "federation": {"partition": "users"},
        "evaluation": {"private": {"epsilon": 8.0}, "select": "last"},
    }
    of = finished(tmp_path / "private", **changes)
    several = call(of, *CALIBRATED)
    assert several.exit_code == 2
    assert "give one, such as --weight 0.3" in " ".join(several.stderr.split())
    found = json.loads(call(of, *CALIBRATED, "--weight", ".5", "--json").stdout)
    assert (found["picked"], found["disclosure"]) == (0.5, "private")
    assert "validation" not in found
    assert not list(of.public.rglob("*rerank*"))
