"""What a sweep varies, and every mistake in it at once."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fedrec.core.errors import ConfigError, RunError
from fedrec.experiment.file import load_experiment
from simulations.plugins import SCENARIOS, registries_of
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.grid import label, pieces, read_asked
from simulations.sweep.plan import Plan, plan_sweep
from simulations.sweep.run import in_turn


def planned(
    *over: str, source: str | Path = "smoke", settings: tuple[str, ...] = (), alone: tuple[str, ...] = ()
) -> Plan:
    return plan_sweep(read_asked(str(source), settings, over, SCENARIOS, alone), registries_of())


def mistakes(*over: str, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        planned(*over, **more)
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2, inf", ["1", "2", "inf"]),
        ("lora", ["lora"]),
        ('["query","key"],["value"]', ['["query","key"]', '["value"]']),
        ('"a,b",c', ['"a,b"', "c"]),
        ("1,,2", ["1", "", "2"]),
    ],
)
def test_a_list_is_cut_at_its_own_commas(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


def test_two_axes_make_their_product_and_each_trial_is_the_experiment_of_its_settings() -> None:
    plan = planned("privacy.epsilon=8,inf", "seed=0,1,2", settings=("rounds=3",))
    assert [label(trial.point) for trial in plan.trials][:4] == [
        "privacy.epsilon=8 seed=0",
        "privacy.epsilon=8 seed=1",
        "privacy.epsilon=8 seed=2",
        "privacy.epsilon=inf seed=0",
    ]
    alone = load_experiment("smoke", ["rounds=3", "privacy.epsilon=inf", "seed=2"], SCENARIOS)
    assert plan.trials[-1].experiment == alone
    assert plan.trials[-1].point == {"privacy.epsilon": math.inf, "seed": 2}


def test_what_is_varied_alone_is_changed_one_at_a_time_at_each_point() -> None:
    plan = planned("seed=0,1", settings=("rounds=3",), alone=("training.steps=2,4", "rounds=9"))
    # 2 seeds x (as it is, 2 steps, 4 steps, 9 rounds)
    assert [label(trial.point) for trial in plan.trials] == [
        "seed=0",
        "seed=0 training.steps=2",
        "seed=0 training.steps=4",
        "seed=0 rounds=9",
        "seed=1",
        "seed=1 training.steps=2",
        "seed=1 training.steps=4",
        "seed=1 rounds=9",
    ]
    assert [(trial.experiment.training.steps, trial.experiment.rounds) for trial in plan.trials][:4] == [
        (1, 3),
        (2, 3),
        (4, 3),
        (1, 9),
    ]


def test_ablations_need_no_grid_and_what_changes_nothing_is_no_trial(tmp_path: Path) -> None:
    plan = planned(alone=("training.steps=1,4",))
    assert [label(trial.point) for trial in plan.trials] == ["", "training.steps=4"]
    again = planned(source=written(tmp_path, plan.to_toml()))
    assert again.fingerprint == plan.fingerprint
    assert [trial.point for trial in again.trials] == [trial.point for trial in plan.trials]


def test_bare_words_and_lists_are_values() -> None:
    plan = planned("adapter.name=lora,bias", 'adapter.targets=["output"],["output", "contract"]')
    assert [trial.experiment.adapter.name for trial in plan.trials] == ["lora", "lora", "bias", "bias"]
    assert plan.trials[1].point["adapter.targets"] == ["output", "contract"]


def test_equal_experiments_are_one_trial() -> None:
    assert len(planned("privacy.epsilon=8,8.0,4").trials) == 2


def test_the_order_of_asking_does_not_name_another_sweep() -> None:
    one, other = planned("privacy.epsilon=8,4", "seed=0,1"), planned("seed=1,0", "privacy.epsilon=4,8")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != planned("privacy.epsilon=8,4", "seed=0").fingerprint


def test_a_file_says_what_to_vary_and_the_command_line_says_otherwise(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'extends = "smoke"\nrounds = 2\n[sweep.over]\n'
        'seed = [0, 1]\nprivacy.epsilon = [4, inf]\n"training.lr" = [0.1]\n',
    )
    plan = planned("seed=5", source=file)
    assert plan.name == "mine"
    assert {trial.experiment.seed for trial in plan.trials} == {5}
    assert {trial.experiment.privacy.epsilon for trial in plan.trials} == {4.0, math.inf}
    assert {trial.experiment.training.lr for trial in plan.trials} == {0.1}
    assert {trial.experiment.rounds for trial in plan.trials} == {2}


def test_a_sweeps_own_file_is_the_same_sweep(tmp_path: Path) -> None:
    plan = planned("privacy.epsilon=1,inf", "seed=0,1", 'adapter.targets=["output"],["contract"]', "training.lr=0.1")
    tree = tomllib.loads(plan.to_toml())
    assert tree["sweep"]["trials"].keys() == {trial.fingerprint for trial in plan.trials}
    again = planned(source=written(tmp_path, plan.to_toml()))
    assert (again.name, again.fingerprint, again.to_toml()) == ("smoke", plan.fingerprint, plan.to_toml())


def test_trials_that_prepare_different_things_come_first() -> None:
    plan = planned("seed=0,1", "privacy.epsilon=1,2")
    assert [trial.experiment.seed for trial in plan.trials] == [0, 0, 1, 1]
    assert [trial.experiment.seed for trial in in_turn(plan.trials)] == [0, 1, 0, 1]


# what is wrong


def test_all_mistakes_come_at_once_each_of_them_once(tmp_path: Path) -> None:
    said = mistakes(
        "privacy.epsilon=0,8",
        "seed=0,1",
        "strategy.name=fedavgg",
        "model.heads=2,3",
        "clip",
        "rounds={a=1}",
        settings=("privacy.epsilo=3", "seed=4"),
    )
    for text in (
        "--over: privacy.epsilon = 0: should be greater than 0 (in 4 of 8 trials",
        "did you mean 'fedavg'?",
        "--over clip: write path=value,value",
        "rounds={a=1}: {a=1} is no single value",
        "--set: privacy.epsilo is not a key",
        "seed is varied, and --set fixes it",
    ):
        assert said.count(text) == 1, (text, said)
    assert "model.heads = 3" in said


def test_what_no_claim_holds_for_and_what_cannot_train_is_known_before_anything_runs() -> None:
    said = mistakes("privacy.trust=local,central", 'adapter.private=[],["*"]', "seed=0,1")
    assert "no true privacy claim" in said
    assert "(in 4 of 8 trials, the first is privacy.trust=central adapter.private=[] seed=0)" in said
    assert "no trained parameter would travel" in said


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ((), "nothing is varied; say what, for example --over privacy.epsilon"),
        (("seed=",), "write path=value,value"),
        (("seed=0,,1",), "nothing is no single value"),
        (("privacy=1", "privacy.epsilon=1"), "privacy.epsilon lies within privacy, which is varied too"),
        (("seed=0,x",), 'seed = "x"'),
    ],
)
def test_a_mistaken_axis_is_told(over: tuple[str, ...], message: str) -> None:
    assert message in mistakes(*over)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sweep.over]\nseed = 3\n", "mine.toml:2: sweep.over.seed: should be a list of values"),
        ("[sweep]\novr = [3]\n", "sweep.ovr is nothing a sweep has; its keys are name, draw, over, alone, trials"),
        ('[sweep.over]\ndata.path = ["here"]\n', "sweep.over.data.path: write absolute paths here"),
        (
            '[sweep.over]\nplatforms.shop.path = ["here"]\n',
            "sweep.over.platforms.shop.path: write absolute paths here",
        ),
        (
            '[sweep.over]\nstrategy.name = ["fedavg", "./a.py:A"]\n',
            "sweep.over.strategy.name: write absolute paths here",
        ),
        ("[sweep.over]\nadapter = [{rank = 1}]\n", "a table is no single value"),
    ],
)
def test_a_mistaken_file_is_told(text: str, message: str, tmp_path: Path) -> None:
    assert message in mistakes(source=written(tmp_path, text))


# the directory


def test_a_sweep_grows_and_never_forgets(tmp_path: Path) -> None:
    directory = SweepDirectory(tmp_path / "sweep")
    small, large = planned("seed=0,1"), planned("seed=0,1,2")
    for plan in (small, small, large):
        with directory.opened(plan):
            assert tomllib.loads(directory.asked.read_text())["sweep"]["over"]["seed"] == list(plan.axes[0].values)
    with pytest.raises(RunError, match=r"1 of its 3 trials are not among(.|\n)*- seed=2"), directory.opened(small):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with (
        pytest.raises(RunError, match=r"is no sweep: it holds mine\.txt"),
        SweepDirectory(tmp_path).opened(planned("seed=0")),
    ):
        pass
    with pytest.raises(RunError, match="is a file"), SweepDirectory(tmp_path / "mine.txt").opened(planned("seed=0")):
        pass


def test_two_sweeps_do_not_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulations.sweep.directory.PATIENCE", 0.2)
    directory, plan = SweepDirectory(tmp_path / "sweep"), planned("seed=0")
    with directory.opened(plan), pytest.raises(RunError, match="another process"), directory.opened(plan):
        pass
