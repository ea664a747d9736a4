"""Broken on purpose: each fault that would make a privacy claim false is put into the real code, and caught.

The name of a test says by what: the guesses, the test of noise, the look at contributions, the books, or the
configuration. Faults are in `faults.py`, those of the table in docs/privacy.md in `audit_cases.py`.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.cohort import answer_cohort
from fedrec.attacks.audit.verdict import Verdict
from fedrec.core.errors import PrivacyError, RunError
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.unpaid import unpaid
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from server.strategies.build import check_strategy
from simulations.attacks.audit import Audit
from simulations.engine.cohorts import CohortGrid, OneProcess
from tests.integration.audit_cases import BROKEN, Case
from tests.integration.audits import ADAPTIVE, BANDED, CENTRAL, HALF, LOCAL, SECRET, SHARDS, Audits, small
from tests.integration.faults import (
    Fault,
    Patch,
    bits_that_nobody_paid_for,
    clients_that_tell_their_examples,
    cohorts_of_everybody,
    half_a_share_of_the_noise,
    half_the_noise_of_clients,
    half_the_noise_of_the_server,
    no_clip_of_clients,
    no_clip_of_the_server,
    no_noise_of_clients,
    no_noise_of_the_server,
    no_share_of_the_noise,
    noise_that_takes_back_too_much,
    one_seed_for_all_clients,
    one_seed_for_all_rounds_of_a_client,
    one_seed_for_all_rounds_of_the_server,
    weights_by_examples,
)
from tests.tiny import rounds_of

SECRET_COHORTS = {"sampling": "poisson", "min_replies": 0}
RARE = {"participation": 0.05, **SECRET_COHORTS}
CHEAP_BITS = {"quantile": 0.5, "noise": 0.06}


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Audits:
    return Audits(tmp_path_factory.mktemp("broken"), cache)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Audits:
    return Audits(tmp_path_factory.mktemp("broken-shards"), cache, **SHARDS)


def refuted(verdict: Verdict) -> bool:
    """Return whether the guesses alone refute the claim."""
    told = ("epsilon is at least", "the guesses refute")
    assert verdict.refuted == verdict.faults[0].startswith(told)
    return verdict.refuted


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_each_fault_of_the_table_is_caught_by_the_check_that_it_names(
    case: Case, audits: Audits, sharded: Audits, monkeypatch: Patch
) -> None:
    case.fault(monkeypatch)
    verdict = case.audit(audits, sharded)
    assert case.words in "; ".join(verdict.faults)


@pytest.mark.parametrize(
    ("fault", "words"),
    [(no_noise_of_clients, "less than chance allows"), (no_clip_of_clients, "times the clip norm: it passes the clip")],
)
def test_the_bound_catches_clients_and_so_does_a_look(
    fault: Fault, words: str, audits: Audits, monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    verdict = audits.of({**LOCAL, "epsilon": 1.0})
    assert refuted(verdict)
    assert words in verdict.text


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (half_the_noise_of_clients, "less than chance"),
        (one_seed_for_all_rounds_of_a_client, "used again"),
        (one_seed_for_all_clients, "used again"),
    ],
)
def test_the_noise_catches_clients(fault: Fault, words: str, audits: Audits, monkeypatch: Patch) -> None:
    fault(monkeypatch)
    verdict = audits.of({**LOCAL, "epsilon": 1.0}, Audit(canaries=4), rounds=1)
    assert words in verdict.text


@pytest.mark.parametrize(
    "fault", [no_noise_of_the_server, one_seed_for_all_rounds_of_the_server, no_clip_of_the_server, weights_by_examples]
)
def test_the_bound_catches_the_server(fault: Fault, audits: Audits, monkeypatch: Patch) -> None:
    fault(monkeypatch)
    assert refuted(audits.of({**CENTRAL, "epsilon": 1.0}))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (no_noise_of_the_server, "less than chance"),
        (half_the_noise_of_the_server, "less than chance"),
        (one_seed_for_all_rounds_of_the_server, "used again"),
    ],
)
def test_the_noise_catches_the_server(fault: Fault, words: str, audits: Audits, monkeypatch: Patch) -> None:
    fault(monkeypatch)
    assert words in audits.of({**CENTRAL, "epsilon": 1.0}, Audit(canaries=4), rounds=2).text


def test_the_noise_catches_adaptive_clipping_whose_bits_are_free(audits: Audits, monkeypatch: Patch) -> None:
    # 30-odd clients and 4 canaries: bits' noise of .06 * 37 = 2.2 is hardly above half the plan's, so the updates' is
    # far above the plan's
    claim = {**ADAPTIVE, "noise_multiplier": 4.0, "epsilon": float("inf"), "adaptive_clip": CHEAP_BITS}
    assert audits.of(claim, Audit(canaries=4), rounds=2).faults == []
    bits_that_nobody_paid_for(monkeypatch)
    assert "less than chance" in audits.of(claim, Audit(canaries=4), rounds=2).text


@pytest.mark.parametrize("fault", [half_the_noise_of_the_server, noise_that_takes_back_too_much])
def test_the_noise_catches_correlated_noise_that_is_not_as_claimed(
    fault: Fault, audits: Audits, monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    assert audits.of({**BANDED, "epsilon": 1.0}, Audit(canaries=4), **HALF).faults


def test_the_bound_catches_clients_that_do_not_wait_for_their_turn(audits: Audits, monkeypatch: Patch) -> None:
    cohorts_of_everybody(monkeypatch)
    claim = {**BANDED, "epsilon": 1.0}
    verdict = audits.of(claim, rounds=20, federation={"participation": 0.05, **SECRET_COHORTS})
    assert refuted(verdict)


def test_the_bound_catches_a_secret_sum_without_noise(audits: Audits, monkeypatch: Patch) -> None:
    no_share_of_the_noise(monkeypatch)
    verdict = audits.of({**SECRET, "epsilon": 1.0})
    assert refuted(verdict)
    assert "less than chance" in verdict.text


def test_the_noise_catches_a_secret_sum_of_half_shares(audits: Audits, monkeypatch: Patch) -> None:
    half_a_share_of_the_noise(monkeypatch)
    assert "less than chance" in audits.of({**SECRET, "epsilon": 1.0}, Audit(canaries=4), rounds=2).text


def test_the_bound_catches_cohorts_that_were_not_sampled(audits: Audits, monkeypatch: Patch) -> None:
    claim = {**CENTRAL, "epsilon": 1.0}
    assert audits.of(claim, rounds=10, federation=RARE).faults == []
    cohorts_of_everybody(monkeypatch)
    assert refuted(audits.of(claim, rounds=10, federation=RARE))


def test_the_books_catch_clients_that_tell_how_many_examples_they_have(audits: Audits, monkeypatch: Patch) -> None:
    clients_that_tell_their_examples(monkeypatch)
    verdict = audits.of({**LOCAL, "epsilon": 8.0}, Audit(canaries=20), rounds=1)
    assert "says its weight 0" in verdict.text


@pytest.mark.parametrize("trust", [LOCAL, CENTRAL], ids=["local", "central"])
def test_a_run_whose_ledger_forgot_does_not_go_on(trust: dict[str, Any], audits: Audits, monkeypatch: Patch) -> None:
    def go_on(run: RunDirectory) -> Ledger:
        return rounds_of(run, grid=CohortGrid(len(run.job.prepared.federation), OneProcess(), answer_cohort)).ledger

    def newest_first(run: RunDirectory) -> Iterable[Path]:
        return sorted((run.private / "checkpoints").iterdir(), reverse=True)

    run = audits.run({**trust, "epsilon": 8.0}, rounds=2)
    assert unpaid(go_on(run), run.job.plan, run.job.cohort, 2) == []
    next(iter(newest_first(run))).unlink()
    real = RunDirectory.latest_checkpoint

    def forgetful(directory: RunDirectory, *told: Any) -> Checkpoint | None:
        newest = real(directory, *told)
        return None if newest is None else replace(newest, ledger=Ledger())

    monkeypatch.setattr(RunDirectory, "latest_checkpoint", forgetful)
    with pytest.raises(RunError, match=r"the ledger of .* lacks rounds \[1\]; restore an earlier checkpoint"):
        go_on(run)


@pytest.mark.parametrize(
    ("privacy", "changes", "words"),
    [
        (CENTRAL, {"strategy": {"name": "median"}}, "is not an average"),
        (CENTRAL, {"federation": {"partition": "shards"}}, "lets many users share it"),
        (CENTRAL | {"unit": "example"}, {}, "needs per-example clipping"),
        (LOCAL, {"training": {"example": "prefix"}}, "needs one example per user"),
    ],
)
def test_the_configuration_refuses_what_has_no_true_claim(
    privacy: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(PrivacyError, match=words):
        check_strategy(small({**privacy, "epsilon": 8.0}, **changes))
