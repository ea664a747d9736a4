"""A sweep that draws its trials: what it claims, what it refuses, and that one draw stays one draw."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent, dp_event, rdp

from fedrec.core.errors import ConfigError, PrivacyError, RunError
from fedrec.privacy.accounting.prices import Release
from fedrec.privacy.accounting.trial_draw import Draw
from fedrec.privacy.accounting.tuning import epsilon_of_best
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import plan
from fedrec.privacy.statement.tuning import tuning_claim, whole_run
from simulations.plugins import SCENARIOS, registries_of
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.drawn import drawn_trials
from simulations.sweep.drawn_rules import check_drawn
from simulations.sweep.grid import read_asked
from simulations.sweep.plan import Plan, plan_sweep
from tests.claims import CENTRAL, SECURE, UNITS, experiment

TEN = Draw(10.0, "geometric")


def planned(*over: str, settings: tuple[str, ...] = (), draw: Draw | None = TEN, source: str | Path = "smoke") -> Plan:
    asked = read_asked(str(source), settings, over, SCENARIOS)
    return plan_sweep(asked if draw is None else replace(asked, draw=draw), registries_of())


def claimed(draw: Draw = TEN, *changes: dict[str, Any]) -> Any:
    return tuning_claim(draw, [plan(experiment(**change), UNITS, participations=20) for change in changes])


@pytest.mark.parametrize(("law", "shape"), [("poisson", float("inf")), ("geometric", 1.0), ("logarithmic", 0.0)])
def test_the_claim_is_what_dp_accounting_says_of_the_largest_setting(law: str, shape: float) -> None:
    # full batches: 20 rounds of one step each, and as many of two
    one = {"training__steps": 1, "training__sampling_rate": 1.0, "privacy__epsilon": 2.0}
    two = {**one, "privacy__epsilon": 1.0}
    found = claimed(Draw(10.0, law), one, two)
    noise = plan(experiment(**one), UNITS, participations=20).noise_multiplier
    event = SelfComposedDpEvent(GaussianDpEvent(noise), 20)
    theirs = rdp.RdpAccountant().compose(dp_event.RepeatAndSelectDpEvent(event, 10.0, shape))
    assert found.epsilon == pytest.approx(theirs.get_epsilon(0.01 / UNITS.users), rel=1e-6)
    assert (found.delta, found.settings, found.unit) == (0.01 / UNITS.users, 2, "user")
    assert f"{law} law with mean 10" in found.text


def test_a_whole_run_is_the_most_that_a_ledger_may_hold() -> None:
    counted = {**CENTRAL, "rounds": 20, "privacy__item_counts": {"share": 0.25}}
    for changes in ({"rounds": 20, "training__steps": 3}, counted, {**CENTRAL, "federation__sampling": "poisson"}):
        made = plan(experiment(**changes), UNITS, participations=20)
        ledger = Ledger()
        for number in range(experiment(**changes).rounds + 1):
            ledger = made.charge(ledger, number, range(UNITS.clients))
        assert sorted(whole_run(made)) == sorted(ledger.bound())


def test_masks_that_may_fail_are_paid_for_in_every_trial_that_is_expected() -> None:
    # 660 clients mask with some neighbours: 1 % of delta each, 10 % of ten
    units = replace(UNITS, clients=660)
    made = plan(experiment(**SECURE), units, participations=20)
    assert made.claimed_delta - made.delta == pytest.approx(0.01 * made.claimed_delta)
    releases = [(Release(made.noise_multiplier, count=20),)]
    found = tuning_claim(TEN, [made])
    assert found.delta == made.claimed_delta
    assert found.epsilon == pytest.approx(epsilon_of_best(releases, 10.0, "geometric", 0.9 * made.claimed_delta))
    with pytest.raises(PrivacyError, match="more than half of delta"):
        tuning_claim(Draw(60.0), [made])


@pytest.mark.parametrize(
    ("over", "settings", "words"),
    [
        ("privacy.epsilon=8,inf", (), "some trials are not private"),
        (
            "training.lr=0.1,1",
            ("privacy.noise_key=0",),
            r"privacy\.noise_key is fixed",
        ),
        ("privacy.unit=user,example", (), "trials protect different units"),
        ("split_seed=0,1", (), "split_seed decides who trains, who judges, or the base"),
        ("seed=0,1", (), "seed decides who trains"),
        ("training.lr=0.1,1", ("split.validation=0",), "nobody judges the trials"),
        (
            "training.lr=0.1,1",
            ("privacy.trust=central", "federation.partition=users", "privacy.population=10000"),
            "another population's noise",
        ),
        (
            "training.lr=0.1,1",
            ("privacy.trust=central", "federation.partition=users", "evaluation.private.epsilon=2"),
            "evaluator a drawn number of them, which is not priced",
        ),
    ],
)
def test_a_best_without_a_true_claim_is_refused(over: str, settings: tuple[str, ...], words: str) -> None:
    with pytest.raises(PrivacyError, match=words):
        check_drawn(planned(over, settings=settings))


def test_what_only_training_reads_may_be_varied() -> None:
    check_drawn(planned("training.lr=0.1,1", "adapter.rank=1,2", "privacy.epsilon=4,8", "privacy.clip_norm=0.5,1"))


def test_the_draw_is_in_the_sweeps_own_file_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(planned("training.lr=0.1,1").to_toml())
    again = planned(source=file, draw=None)
    assert again.draw == TEN
    assert again.to_toml() == file.read_text()
    file.write_text('extends = "smoke"\n[sweep]\nover = {seed = [0, 1]}\ndraw = {mean = 4}\n')
    assert planned(source=file, draw=None).draw == Draw(4.0)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        ('"many"', "sweep.draw: should be a mean and a law"),
        ("{mean = 3, lav = 1}", "sweep.draw: should be a mean and a law"),
        ('{law = "poisson"}', "sweep.draw: should be a mean and a law"),
        ("{mean = 0.5}", "the mean between 1 and"),
    ],
)
def test_a_mistaken_draw_is_told(draw: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'extends = "smoke"\n[sweep]\nover = {{seed = [0, 1]}}\ndraw = {draw}\n')
    with pytest.raises(ConfigError, match=words):
        planned(source=file, draw=None)


def test_one_key_is_drawn_once_and_its_trials_with_it(tmp_path: Path) -> None:
    directory, asked = SweepDirectory(tmp_path / "sweep", drawn=True), planned("training.lr=0.1,0.3,1")
    with directory.opened(asked):
        first, again = (drawn_trials(directory, asked, TEN) for _ in range(2))
    assert first == again
    assert [trial.pick for trial in first] == list(range(1, len(first) + 1))
    assert {trial.fingerprint for trial in first} <= {trial.fingerprint for trial in asked.trials}
    assert len({directory.run(trial) for trial in first}) == len(first), "one setting twice is two runs"
    (directory.work / "trials").mkdir()
    (directory.work / "draw.key").unlink()
    with pytest.raises(RunError, match=r"key of the draws .* cannot be read"):
        drawn_trials(directory, asked, TEN)


def test_another_draw_needs_another_place(tmp_path: Path) -> None:
    directory, asked = SweepDirectory(tmp_path / "sweep", drawn=True), planned("training.lr=0.1,1")
    with directory.opened(asked):
        pass
    for other in (
        planned("training.lr=0.1,1", draw=Draw(20.0, "geometric")),
        planned("training.lr=0.1,1", draw=None),
        planned("training.lr=0.1,1,3"),
    ):
        with pytest.raises(RunError, match="drawn from other settings, or in another number"), directory.opened(other):
            pass
    grid = SweepDirectory(tmp_path / "grid")
    with grid.opened(planned("training.lr=0.1,1", draw=None)):
        pass
    with pytest.raises(RunError, match="whose trials are all of a grid"), grid.opened(asked):
        pass
