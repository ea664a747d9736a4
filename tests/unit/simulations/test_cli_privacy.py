"""`fedrec privacy` on the command line: what it prints, under which names, and what it refuses."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.core.checksums import seal
from fedrec.core.errors import RunError
from fedrec.reporting import explain
from simulations.cli.app import app
from simulations.cli.privacy import _rounded_up

SETTING = {"--sampling-rate": "0.1", "--rounds": "10", "--delta": "1e-5"}
NAMES = {
    "epsilon",
    "noise_multiplier",
    "sampling_rate",
    "rounds",
    "steps",
    "delta",
    "epsilon_rdp",
    "units",
    "adjacency",
    "draw",
}


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["privacy", *arguments])


def calibrate(**options: str) -> Result:
    given = {**SETTING, **{f"--{name.replace('_', '-')}": value for name, value in options.items()}}
    return call("calibrate", *(word for option in given.items() for word in option if option[1]), "--json")


def test_noise_gives_epsilon_and_epsilon_gives_that_noise_back() -> None:
    forward = json.loads(calibrate(noise_multiplier="1", steps="3").stdout)
    assert forward.keys() == NAMES
    assert (forward["noise_multiplier"], forward["rounds"], forward["steps"]) == (1, 10, 3)
    back = json.loads(calibrate(epsilon=str(forward["epsilon"]), steps="3").stdout)
    assert back.keys() == NAMES
    assert back["noise_multiplier"] == pytest.approx(1, rel=0.01)
    assert 0.99 * forward["epsilon"] <= back["epsilon"] <= forward["epsilon"] < forward["epsilon_rdp"]


def test_one_release_in_words() -> None:
    # Balle and Wang 2018: noise 1 at delta 1e-5 costs 4.37718, e^4.37723 = 79.617
    said = call(
        "calibrate", "--sampling-rate", "1", "--rounds", "1", "--delta", "1e-5", "--noise-multiplier", "1"
    ).stdout
    flat = " ".join(said.split())
    for part in (
        "noise of 1 times the clip norm gives epsilon 4.378 at delta 1e-05 (zero-out)",
        "1 releases (1 rounds x 1 a round) and is in each of them",
        "at most 79.61",
        "PLD, the claim",
        "RDP, a looser check",
    ):
        assert part in flat, part


def test_a_delta_is_judged_by_the_units_that_there_are() -> None:
    assert json.loads(calibrate(noise_multiplier="1", delta="0.019", units="50").stdout)["units"] == 50


def test_a_replaced_unit_takes_twice_the_noise() -> None:
    whole = {"sampling_rate": "1", "rounds": "1"}
    replaced = json.loads(calibrate(noise_multiplier="2", adjacency="replace-one", **whole).stdout)
    zeroed = json.loads(calibrate(noise_multiplier="1", **whole).stdout)
    assert replaced["epsilon"] == zeroed["epsilon"]
    assert (replaced["adjacency"], zeroed["adjacency"]) == ("replace-one", "zero-out")


def test_a_missing_and_a_wrong_option_are_told_together() -> None:
    result = call("calibrate", "--sampling-rate", "1.5", "--rounds", "0", "--steps", "0", "--epsilon", "nan", "--json")
    assert result.exit_code == 2
    message = json.loads(result.stdout)["error"]["message"]
    for part in (
        "5 mistakes",
        "--delta is missing",
        "--sampling-rate = 1.5: should be above 0 and at most 1",
        "--rounds = 0: should be at least 1",
        "--steps = 0: should be at least 1",
        "--epsilon = nan: should be above 0 and finite",
    ):
        assert part in message, part


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give --epsilon to get the noise, or --noise-multiplier to get epsilon"),
        ({"epsilon": "8", "noise_multiplier": "1"}, "fix each other: give only one"),
        ({"epsilon": "0"}, "--epsilon = 0.0: should be above 0"),
        ({"epsilon": "inf"}, "--epsilon = inf: should be above 0 and finite"),
        ({"noise_multiplier": "0"}, "--noise-multiplier = 0.0: should be at least 0.001"),
        ({"noise_multiplier": "nan"}, "should be at least 0.001 and at most 1,000,000"),
        ({"noise_multiplier": "1", "delta": "0"}, "--delta = 0.0: should be above 0 and below 1"),
        ({"noise_multiplier": "1", "delta": "1"}, "--delta = 1.0: should be above 0 and below 1"),
        ({"noise_multiplier": "1", "delta": "0.01"}, "--delta 0.01 is not below 1/n for n=100 units"),
        ({"noise_multiplier": "1", "delta": "0.01"}, "give --units, if there are fewer, or a smaller --delta"),
        ({"noise_multiplier": "1", "delta": "1e-3", "units": "1000"}, "--delta 0.001 is not below 1/n for n=1000"),
        ({"noise_multiplier": "1", "units": "0"}, "--units = 0: should be at least 1"),
        ({"noise_multiplier": "1", "sampling_rate": "0"}, "--sampling-rate = 0.0: should be above 0"),
        ({"noise_multiplier": "1", "sampling_rate": "nan"}, "--sampling-rate = nan: should be above 0"),
        ({"noise_multiplier": "1", "rounds": "1000", "steps": "1000"}, "1,000,000: should be at most 300,000 releases"),
        ({"epsilon": "1", "rounds": "1", "sampling_rate": "1e-6"}, "choose a smaller delta"),
        ({"epsilon": "1", "rounds": "1.5"}, "--rounds"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_is_allowed(options: dict[str, str], message: str) -> None:
    result = calibrate(**options)
    assert result.exit_code == 2
    assert message in json.loads(result.stdout)["error"]["message"]
    assert message in result.stderr


def test_the_best_of_a_drawn_number_of_trials_costs_more_than_one_and_less_than_all() -> None:
    asked = (word for option in {**SETTING, "--epsilon": "1", "--trials-mean": "9.5"}.items() for word in option)
    told = call("tuning", *asked, "--json")
    found = json.loads(told.stdout)
    assert (found["trials_fixed"], found["trials_mean"]) == (10, 9.5)
    for price in found["epsilon_of_best"].values():
        assert found["epsilon"] < price < found["epsilon_composed"]


@pytest.mark.parametrize("mean", ["0.5", "nan", "1e9"])
def test_a_mean_below_one_trial_or_absurd_is_refused(mean: str) -> None:
    assert "should be at least 1 and at most 10,000" in call("tuning", "--trials-mean", mean).stderr


def test_explain_shows_each_part_under_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text("")
    seal(tmp_path)
    facts = {"epsilon": 8.0, "finished": False, "round": 1, "rounds": 3}
    found = explain.Explanation({"Promise": "Little [is learnt].", "Seed": "Keep it secret."}, facts)
    monkeypatch.setattr(explain, "explain", lambda run: found)
    said = call("explain", str(tmp_path)).stdout
    assert "not finished: round 1 of 3" in said
    assert said.index("Promise\nLittle [is learnt].\n") < said.index("Seed\nKeep it secret.\n")
    assert json.loads(call("explain", str(tmp_path), "--json").stdout) == facts


def test_explain_of_no_run_is_the_users_mistake(tmp_path: Path) -> None:
    result = call("explain", str(tmp_path), "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["kind"] == RunError.__name__


@pytest.mark.parametrize(
    ("noise", "shown"), [(1.0, "1"), (0.0012345649, "0.00123457"), (123456.1, "123457"), (4.0, "4"), (0.3, "0.3")]
)
def test_noise_is_rounded_up(noise: float, shown: str) -> None:
    assert _rounded_up(noise) == shown
