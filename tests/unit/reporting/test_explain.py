"""What an unfinished or finished run may claim: which ledger counts, and what is said of a round that was not saved."""

import json
import math

import pytest

from fedrec.core.checksums import seal
from fedrec.core.errors import RunError
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.statement.statement import in_other_words, statement
from fedrec.reporting.explain import explain
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.run.job import Job

UNITS = UnitCounts(users=660, examples=60_000, clients=20)
COHORT = [3, 4, 5]
PRIVATE = Experiment.model_validate({"rounds": 3, "privacy": {"epsilon": 8.0}})


@pytest.fixture
def new_run(tmp_path, monkeypatch):
    """Make runs whose data is never looked at: the plan and the cohorts are given."""

    def new(experiment=PRIVATE, *, prepared=True):
        planned = plan(experiment, UNITS, participations=experiment.rounds)
        monkeypatch.setattr(Job, "plan", planned)
        monkeypatch.setattr(Job, "cohort", lambda job, number: COHORT)
        run = RunDirectory.create(tmp_path / "run", experiment, "tiny")
        if prepared:
            (run.private / "prepared").mkdir()
            (run.private / "prepared" / "checksums.json").write_text("{}")
        return run, planned

    return new


def ledger_of(planned, rounds):
    ledger = Ledger()
    for number in range(1, rounds + 1):
        ledger = planned.charge(ledger, number, COHORT)
    return ledger


def save(run, planned, rounds):
    run.save_checkpoint(Checkpoint(rounds, {}, {}, 0, 1.0, {}, ledger_of(planned, rounds)))


def test_the_newest_checkpoint_counts_and_the_round_after_it_is_told(new_run):
    run, planned = new_run()
    save(run, planned, 0)
    save(run, planned, 1)
    found = explain(run)
    said = statement(planned, ledger_of(planned, 1))
    assert found.facts.items() >= said.summary.items()
    assert found.parts.items() >= said.parts.items()
    assert (found.facts["finished"], found.facts["round"], found.facts["rounds"]) == (False, 1, 3)
    # Two rounds of the same clients: what the checkpoint of round 2 would say.
    two = epsilon([Release(planned.noise_multiplier, planned.sampling_rate, 2 * planned.steps)], planned.delta).pld
    assert found.facts["epsilon_if_sent"] == two > found.facts["epsilon"]
    assert "Round 2 may have been sent already" in found.parts["Not saved yet"]


def test_the_parts_are_the_statement_and_nothing_of_it_is_said_in_other_words(new_run):
    run, planned = new_run()
    save(run, planned, 3)
    found = explain(run)
    wording = {name: text for name, text in found.parts.items() if name != "In other words"}
    assert " ".join(wording.values()) == found.facts["statement"]
    for name in ("Promise", "Neighbours", "Trust", "Released", "Not covered", "Published", "Noise key"):
        assert wording[name]


def test_a_finished_run_needs_no_checkpoint(new_run):
    run, planned = new_run()
    run.public.mkdir()
    (run.public / "ledger.json").write_text(ledger_of(planned, 3).to_json())
    (run.private / "summary.json").write_text('{"rounds_run": 3}')
    seal(run.public)
    seal(run.private, ["summary.json"])
    found = explain(run)
    assert (found.facts["finished"], found.facts["round"]) == (True, 3)
    assert found.facts["epsilon"] == statement(planned, ledger_of(planned, 3)).summary["epsilon"]
    assert "Not saved yet" not in found.parts


def test_before_the_first_checkpoint_nothing_was_released(new_run):
    found = explain(new_run()[0])
    assert (found.facts["epsilon"], found.facts["round"]) == (0, 0)
    assert "Not saved yet" not in found.parts


def test_a_strangers_strategy_may_have_asked_everyone(new_run, monkeypatch):
    run, planned = new_run(
        PRIVATE.model_copy(update={"strategy": PRIVATE.strategy.model_copy(update={"name": "collections:OrderedDict"})})
    )
    monkeypatch.setattr(Job, "cohort", lambda job, number: pytest.fail("its cohort is not drawn by the job"))
    save(run, planned, 1)
    assert explain(run).facts["epsilon_if_sent"] > explain(run).facts["epsilon"]


def test_without_privacy_it_says_so_and_no_more(new_run):
    run, planned = new_run(Experiment(rounds=3))
    save(run, planned, 1)
    found = explain(run)
    assert list(found.parts) == ["Promise"]
    assert found.parts["Promise"].startswith("Nothing is protected")
    assert found.facts["epsilon"] == math.inf


def test_a_run_without_prepared_data_has_asked_nobody(new_run):
    with pytest.raises(RunError, match="no client was asked yet; `fedrec resume"):
        explain(new_run(prepared=False)[0])


def test_a_broken_ledger_is_no_epsilon_of_zero(new_run):
    run, _ = new_run()
    run.public.mkdir()
    (run.public / "ledger.json").write_text(json.dumps({"version": 1}))
    (run.private / "summary.json").write_text('{"rounds_run": 3}')
    seal(run.public)
    seal(run.private, ["summary.json"])
    with pytest.raises(RunError, match="ledger cannot be read"):
        explain(run)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        # e^0 = 1, e^1 = 2.71828, e^8 = 2980.95799: rounded up
        (0.0, "at most 1.000 times"),
        (1.0, "at most 2.719 times"),
        (8.0, "at most 2980.958 times"),
        (100.0, "no meaningful guarantee"),
        (math.inf, "no meaningful guarantee"),
    ],
)
def test_epsilon_in_other_words(value, said):
    assert said in in_other_words("user", value, 1e-5)
    assert "one training example" in in_other_words("example", value, 1e-5)


def test_a_ledger_of_another_sampling_rate_is_not_believed(new_run):
    # the review's edit: 1.0 to 0.01 printed an epsilon of 0.044 where 7.998 is true
    run, planned = new_run()
    edited = (
        ledger_of(planned, 3)
        .to_json()
        .replace('"sampling_rate": 1.0', '"sampling_rate": 0.01')
        .replace('"sampling_rate": 0.25', '"sampling_rate": 0.01')
    )
    run.save_checkpoint(Checkpoint(3, {}, {}, 0, 1.0, {}, Ledger.from_json(edited)))
    with pytest.raises(RunError, match="charges what this run never releases"):
        explain(run)
