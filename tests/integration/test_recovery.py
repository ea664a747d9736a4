"""The recovery attack on real rounds: a clear update gives its user away, a noised one says no more than popularity."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedrec.attacks.success import OperatingPoint
from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.experiment.file import dump_experiment
from fedrec.run.preparation import prepare
from simulations.attacks.recovery import Recovery, recovery_point
from simulations.cli.app import app
from tests.integration.audits import CENTRAL, LOCAL, SECRET, small

OFF = {"epsilon": float("inf")}
OPEN = {"adapter": {"private": ()}}
"""The item bias travels."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with what all experiments here need prepared."""
    made = tmp_path_factory.mktemp("recovery")
    prepare(wide({}), made / "prepared", cache, silent)
    return made


def wide(privacy: dict[str, Any], **changes: Any) -> Experiment:
    """Return the small experiment with windows that reach most of a user's items."""
    return small(privacy, model={"window": 50}, **changes)


def recovered(folder: Path, experiment: Experiment, asked: Recovery | None = None) -> OperatingPoint:
    place = folder / f"run-{len(list(folder.iterdir()))}"
    return recovery_point(experiment, folder / "prepared", place, silent, asked or Recovery())


def aucs(point: OperatingPoint) -> dict[str, float]:
    return {line: found.mean for line, found in point.measures["auc"].items()}


def test_a_clear_update_gives_its_user_away_and_a_noised_one_falls_to_popularity(folder: Path) -> None:
    shown, hidden = recovered(folder, wide(OFF, **OPEN)), recovered(folder, wide({**LOCAL, "epsilon": 1.0}, **OPEN))
    clear, noised = aucs(shown), aucs(hidden)
    assert set(clear) == {"update", "update_and_popularity", "popularity", "random"}
    assert clear["random"] == 0.5
    assert clear["update_and_popularity"] > clear["popularity"] + 0.05
    assert shown.measures["precision_at_10"]["update"].mean > 0.95
    assert 0.4 < noised["update"] < 0.6
    assert abs(noised["update_and_popularity"] - noised["popularity"]) < 0.03
    assert (shown.spent, shown.delta) == (float("inf"), 0.0)
    assert 0 < hidden.spent < 1  # one round of four


def test_who_sees_what_follows_from_the_trust_model(folder: Path) -> None:
    updates, results = {"update", "update_and_popularity"}, {"round_result", "round_result_and_popularity"}
    central, secret = (recovered(folder, wide({**trust, "epsilon": 1.0}, **OPEN)) for trust in (CENTRAL, SECRET))
    assert set(aucs(central)) - {"popularity", "random"} == updates | results
    assert set(aucs(secret)) - {"popularity", "random"} == results
    # Noise comes after the trusted server has seen the update.
    assert central.measures["precision_at_10"]["update"].mean > 0.95
    assert abs(aucs(central)["round_result"] - 0.5) < 0.15
    unprotected = recovered(folder, wide({**SECRET, **OFF}, **OPEN))
    assert set(aucs(unprotected)) - {"popularity", "random"} == updates | results


def test_without_the_bias_in_the_update_more_rounds_are_heard_and_less_is_found(folder: Path) -> None:
    found = recovered(folder, wide(OFF), Recovery(victims=5, rounds=2))
    assert 0.5 < aucs(found)["update"] < aucs(recovered(folder, wide(OFF, **OPEN), Recovery(5, 2)))["update"]


def test_what_cannot_be_attacked_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"federation\.partition=users"):
        recovered(folder, wide(OFF, federation={"partition": "shards"}))
    with pytest.raises(ConfigError, match="at most the experiment's 4"):
        recovered(folder, wide(OFF), Recovery(rounds=5))
    nobody = {"participation": 1e-6, "sampling": "poisson", "min_replies": 0}
    with pytest.raises(ConfigError, match="nobody with two interactions is asked"):
        recovered(folder, wide(OFF, federation=nobody))


def test_the_commands_tell_what_was_found(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDREC_CACHE", str(cache))
    file, out = tmp_path / "small.toml", tmp_path / "attacks"
    file.write_text(dump_experiment(small(LOCAL, rounds=1)))
    places = ["--out", str(out), "--quiet"]
    runner = CliRunner()
    result = runner.invoke(
        app, ["attack", "recovery", str(file), "--victims", "6", "--epsilon", "8,inf", *places, "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"attack", "experiment", "fingerprint", "toml", "adversary", "points", "numbers", "page"}
    assert [point["epsilon"] for point in found["points"]] == [8.0, "inf"]
    assert set(found["points"][0]["measures"]) == {"auc", "precision_at_10"}
    result = runner.invoke(app, ["attack", "membership", str(file), "--models", "4", "--epsilon", "8", *places])
    assert result.exit_code == 0, result.output
    assert "TPR at 1 % FPR" in result.stdout
    membership = json.loads((out / "membership.json").read_text())
    assert set(membership["points"][0]["measures"]["tpr_at_1_percent"]) == {"lira", "ceiling", "guess"}
    page = (out / "attacks.html").read_text(encoding="utf-8")
    assert page.index("Was this user trained on?") < page.index("Which items has this user?")
    (out / "membership.json").write_text("{}")
    result = runner.invoke(app, ["attack", "recovery", str(file), "--victims", "2", "--epsilon", "inf", *places])
    assert result.exit_code == 2
    assert "is not what fedrec attack writes" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recovery", "--set", "federation.partition=users", "--epsilon", "0"], "numbers above 0"),
        (["recovery"], "federation.partition=users"),
        (["membership", "--models", "5"], "set --models"),
        (["membership", "--set", "privacy.noise_multiplier=1.0"], "fixes the noise"),
    ],
)
def test_mistakes_are_told_before_any_work(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["attack", *arguments, "--quiet"])
    assert result.exit_code == 2
    assert said in result.output
