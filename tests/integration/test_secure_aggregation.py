"""Runs under `privacy.trust = "secure-aggregation"`: only sums reach the server, and too many dropouts lose a round."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clients.cohort
import server.base
from fedrec.core.errors import FederationError, PrivacyError
from fedrec.core.progress import silent
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.statement.statement import statement
from fedrec.run.client_store import ClientStore
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate
from server.aggregation.secret_sum import SecretSum
from server.aggregation.update_sum import SumAggregator
from simulations.engine.cohorts import OneProcess
from simulations.options import RunOptions
from simulations.runner import run as run_experiment
from tests.integration.conftest import outcome
from tests.integration.many import Many
from tests.tiny import client_app, rounds_of, tiny

SECURE: dict[str, Any] = {"privacy": {"trust": "secure-aggregation"}, "federation": {"participation": 0.02}}
"""Some fourteen clients in a round: two chunks."""


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], bool]) -> None:
    """Let clients fail for whom `fails(round, client)`."""
    real = clients.cohort.train_cohort

    def train_cohort(context: TrainingContext, task: CohortTask) -> CohortUpdate:
        if any(fails(task.round, client) for client in task.clients):
            message = "battery is flat"
            raise ValueError(message)
        return real(context, task)

    monkeypatch.setattr(clients.cohort, "train_cohort", train_cohort)


@pytest.mark.parametrize("law", [{}, {"noise": "skellam", "bits": 16}], ids=["gaussian", "skellam"])
def test_masks_change_no_bit(many: Many, law: dict[str, Any]) -> None:
    outcomes = []
    for rounds in (0, 2):
        secure = {**SECURE["privacy"], "secure_aggregation": {"masked_rounds": rounds, **law}}
        outcomes.append(outcome(*many.run(OneProcess(), **{**SECURE, "privacy": secure})))
    assert outcomes[0] == outcomes[1]


def test_only_sums_reach_the_server(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(*given: Any) -> None:
        pytest.fail(f"the server was shown {given}")

    monkeypatch.setattr(server.base, "check_replies", seen)
    monkeypatch.setattr(SumAggregator, "add", seen)
    monkeypatch.setattr(SumAggregator, "add_cohort", seen)
    told: list[SecretSum] = []
    real = server.base.decoded

    def decoded(opened: SecretSum, *others: Any) -> Any:
        told.append(opened)
        return real(opened, *others)

    monkeypatch.setattr(server.base, "decoded", decoded)
    run, last = many.run(OneProcess(), **SECURE)
    numbers = sum(value.numel() for value in last.parameters.values())
    assert [opened.vector.shape for opened in told] == [(numbers,)] * 2
    assert [list(opened.survivors) for opened in told] == [run.job.cohort(number) for number in (1, 2)]


def test_the_plan_the_ledger_and_the_statement_say_what_ran(many: Many) -> None:
    run, last = many.run(OneProcess(), **SECURE)
    plan, asked = run.job.plan, [run.job.cohort(number) for number in (1, 2)]
    assert plan.agreement is not None
    assert (plan.trust, plan.sampling_rate, plan.steps) == ("secure-aggregation", 1.0, 1)
    assert plan.agreement.cohort == len(asked[0]) == len(asked[1])
    twice = sorted(set(asked[0]) & set(asked[1]))
    expected = 2 if twice else 1
    assert plan.count == expected
    worst = epsilon([Release(plan.noise_multiplier, 1.0, expected)], plan.delta).pld
    said = statement(plan, last.ledger)
    assert said.summary["epsilon"] == pytest.approx(worst)
    assert 7.9 < worst <= 8
    assert "it computes the masks of the first of 2 rounds" in said.text
    own = ClientStore.of(run.job)
    for client in {*asked[0], *asked[1]}:
        rounds = sum(client in cohort for cohort in asked)
        assert sum(release.count for release in last.ledger.releases(client)) == rounds
        assert own.charged([client]).tolist() == [rounds]


def test_clients_that_drop_out_are_named_paid_for_and_not_in_the_sum(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohorts = {number: many.new(**SECURE).job.cohort(number) for number in (1, 2)}
    failing(monkeypatch, lambda number, client: client in cohorts[number][:2])
    run, last = many.run(OneProcess(), **SECURE)
    for number, cohort in cohorts.items():
        assert many.rejected(run, number) == dict.fromkeys(
            cohort[:2], f"client failed: ValueError: battery is flat (round {number})"
        )
        assert run.rounds()[number]["replies"] == len(cohort) - 2
    assert all(last.ledger.releases(client) for cohort in cohorts.values() for client in cohort)


@pytest.mark.parametrize("lost", [1, 2], ids=["masked", "plain"])
def test_too_many_dropouts_lose_the_round_and_the_run_goes_on_to_the_same_bits(
    many: Many, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    steady = outcome(*many.run(OneProcess(), **SECURE))
    run = many.new(**SECURE)
    asked = run.job.cohort(lost)
    failing(monkeypatch, lambda number, client: number == lost and client in asked[:5])
    lost_how = f"round {lost}: {len(asked) - 5} of {len(asked)} clients sent a masked vector.*the round is lost"
    with pytest.raises(FederationError, match=lost_how):
        many.go_on(run, OneProcess())
    assert [line["round"] for line in run.rounds()] == list(range(lost))
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.round == lost - 1
    monkeypatch.undo()
    assert outcome(run, many.go_on(run, OneProcess())) == steady


def test_an_engine_that_shows_updates_is_refused_before_any_work(tmp_path: Path, cache: Path, many: Many) -> None:
    secure = tiny(federation={"partition": "users"}, privacy=SECURE["privacy"])
    with pytest.raises(PrivacyError, match=r"the engine flower hands the server.*choose --engine inprocess or ray"):
        run_experiment(secure, RunOptions(engine="flower", out=tmp_path / "run", cache=cache), silent)
    assert list(tmp_path.iterdir()) == []
    run = many.new(**SECURE)
    with pytest.raises(PrivacyError, match="InProcessGrid hands it each one"):
        rounds_of(run, client_app(), len(run.job.prepared.federation))
