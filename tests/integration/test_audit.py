"""Audits of honest mechanisms: the bound stays below the claim, and is worth something where there is little noise."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrec.core.errors import ConfigError
from fedrec.experiment.file import dump_experiment
from simulations.attacks.audit import Audit
from simulations.cli.app import app
from tests.integration.audit_cases import HONEST, MANY, Case
from tests.integration.audits import (
    ADAPTIVE,
    BANDED,
    BIAS,
    CENTRAL,
    HALF,
    LOCAL,
    SECRET,
    SHARDS,
    Audits,
    skellam,
    small,
)
from tests.integration.faults import no_noise_of_clients, no_noise_of_the_server

LEARNING = {
    "rounds": 4,
    "adapter": {"private": (), "item_delta": True},
    "training": {"optimizer": "adam", "lr": 0.1, "steps": 4},
}
"""What learns its users by heart."""
QUARTER = {"participation": 0.25, "min_replies": 0}


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Audits:
    return Audits(tmp_path_factory.mktemp("audits"), cache)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Audits:
    return Audits(tmp_path_factory.mktemp("sharded"), cache, **SHARDS)


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_an_honest_mechanism_survives_and_its_bounds_stay_below_its_claim(
    case: Case, audits: Audits, sharded: Audits
) -> None:
    verdict = case.audit(audits, sharded)
    assert verdict.faults == []
    assert verdict.claimed == pytest.approx(case.epsilon, rel=2e-3)
    assert max(verdict.bound.epsilon, verdict.gaussian.epsilon) < case.epsilon
    assert verdict.bound.most < verdict.gaussian.most
    if case.longest is None:
        assert (verdict.reach, verdict.noise) == (None, None)
        assert "Not looked at: the noise, what single users add" in verdict.text
        return
    assert verdict.reach.clip_norms == pytest.approx(case.longest, abs=1e-3)
    assert verdict.noise.updates.numbers >= 40_000
    assert verdict.noise.updates.passes[0] > 0.97


@pytest.mark.parametrize("sampling_rate", [1.0, 0.5])
def test_a_canary_among_the_users_of_a_client_shows_where_there_is_little_noise(
    sampling_rate: float, sharded: Audits
) -> None:
    little = {**LOCAL, "noise_multiplier": 0.3, "epsilon": float("inf")}
    verdict = sharded.of(little, training={"sampling_rate": sampling_rate})
    assert verdict.faults == []
    assert 0.5 < verdict.gaussian.epsilon < verdict.claimed


def test_a_sum_without_noise_is_refuted_at_epsilon_8_by_the_curve_alone(
    audits: Audits, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_noise_of_the_server(monkeypatch)
    verdict = audits.of({**CENTRAL, "epsilon": 8.0}, MANY, **BIAS)
    assert verdict.curve_refuted
    assert verdict.bound.epsilon < 8 < verdict.gaussian.epsilon, "the bound without a curve does not reach that far"


@pytest.mark.parametrize(("trust", "changes"), [(BANDED, HALF), (ADAPTIVE, {})], ids=["banded", "adaptive"])
def test_it_stays_below_where_noise_is_correlated_or_the_clip_norm_moves(
    trust: dict, changes: dict, audits: Audits
) -> None:
    verdict = audits.of({**trust, "epsilon": 2.0}, **changes)
    assert verdict.faults == []
    assert verdict.claimed == pytest.approx(2.0, rel=2e-3)
    assert 0.95 < verdict.noise.updates.relative_deviation < 1.05
    little = audits.of({**trust, "noise_multiplier": 0.3, "epsilon": float("inf")}, **changes)
    assert little.faults == []
    assert 0.5 < little.bound.epsilon < little.claimed


@pytest.mark.parametrize("sampling", ["poisson", "without-replacement", "balls-in-bins"])
def test_it_stays_below_where_secret_cohorts_amplify(sampling: str, audits: Audits) -> None:
    drawn = {"federation": {**QUARTER, "sampling": sampling}, "adapter": {"private": ()}}
    verdict = audits.of({**CENTRAL, "epsilon": 2.0}, **drawn)
    assert verdict.faults == []
    assert verdict.claimed == pytest.approx(2.0, rel=2e-3)
    little = audits.of({**CENTRAL, "noise_multiplier": 0.3, "epsilon": float("inf")}, **drawn)
    assert little.faults == []
    assert little.bound.epsilon < little.claimed


@pytest.mark.parametrize(
    ("trust", "changes"),
    [
        (LOCAL, {}),
        (LOCAL, {"training": {"optimizer": "adam", "lr": 0.01, "steps": 3, "sampling_rate": 0.5}}),
        (LOCAL, {"strategy": {"name": "fedprox"}}),
        (SECRET, {}),
        (CENTRAL, {}),
        (CENTRAL, {"strategy": {"name": "fedadam"}}),
    ],
    ids=["local", "local, adam, batches", "local, fedprox", "secure-aggregation", "central", "central, fedadam"],
)
def test_little_noise_shows(trust: dict, changes: dict, audits: Audits) -> None:
    verdict = audits.of({**trust, "noise_multiplier": 0.3, "epsilon": float("inf")}, **changes)
    assert verdict.faults == []
    assert 0.5 < verdict.bound.epsilon < verdict.claimed


def test_one_example_is_one_canary_where_that_is_the_unit(audits: Audits) -> None:
    example = {"unit": "example", "noise_multiplier": 0.3, "epsilon": float("inf")}
    verdict = audits.of({**LOCAL, **example}, rounds=1, training={"example": "prefix"})
    assert verdict.faults == []
    assert verdict.bound.epsilon > 1.0


def test_without_privacy_everything_shows_even_in_the_final_model(audits: Audits) -> None:
    off = {"epsilon": float("inf")}
    seen = audits.of(off)
    assert (seen.claimed, seen.noise) == (float("inf"), None)
    assert seen.bound.epsilon > 2.5
    taught = audits.of(off, Audit(access="black-box"), **LEARNING)
    assert taught.bound.epsilon > 0.5
    assert "the final model" in taught.text


def test_a_final_model_shows_less_than_the_rounds_do(audits: Audits) -> None:
    verdict = audits.of({**CENTRAL, "epsilon": 8.0}, Audit(access="black-box"))
    assert verdict.faults == []
    assert verdict.noise is None


def test_more_canaries_than_parameters_are_refused(audits: Audits) -> None:
    with pytest.raises(ConfigError, match="canaries do not fit"):
        audits.of({**CENTRAL, "epsilon": 8.0}, Audit(canaries=2000))


@pytest.fixture
def command(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A small audit on the command line, kept in the folder `kept`."""
    monkeypatch.setenv("FEDREC_CACHE", str(cache))
    file = tmp_path / "small.toml"
    file.write_text(dump_experiment(small({**LOCAL, "epsilon": 8.0}, rounds=1)))
    return ["audit", str(file), "--canaries", "40", "--quiet", "--json", "--out", str(tmp_path / "kept")]


def test_the_command_tells_and_keeps_what_was_found_and_does_nothing_twice(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["guesses"]["canaries"], found["faults"]) == (40, [])
    assert found["epsilon_at_least"] < found["epsilon_claimed"]
    kept = tmp_path / "kept" / "private"
    assert json.loads((kept / "audit.json").read_text())["verdict"].items() <= found.items()
    page = (kept / "report.html").read_text()
    (kept / "report.html").unlink()
    assert CliRunner().invoke(app, ["report", str(tmp_path / "kept")]).exit_code == 0
    assert (kept / "report.html").read_text() == page
    monkeypatch.setattr("simulations.attacks.audit.audit", None)  # nobody calls it
    assert json.loads(CliRunner().invoke(app, command).stdout) == found
    another = CliRunner().invoke(app, [*command, "--set", "seed=3"])
    assert (another.exit_code, "holds another audit, of small" in another.output) == (2, True)


def test_a_refuted_claim_is_kept_too(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_noise_of_clients(monkeypatch)
    for _ in range(2):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, json.loads(result.stdout)["error"]["kind"]) == (1, "AuditError")
    assert "The claim is false" in (tmp_path / "kept" / "private" / "report.html").read_text()


@pytest.mark.parametrize("bits", [16, 20])
def test_skellam_shares_of_a_secret_sum_pass_every_check(bits: int, audits: Audits) -> None:
    verdict = audits.of(skellam(bits))
    assert verdict.faults == []
    assert max(verdict.bound.epsilon, verdict.gaussian.epsilon) < verdict.claimed
    assert verdict.reach.clip_norms == pytest.approx(1.0, abs=1e-3)
