"""`fedrec replay`: each window is predicted by what was trained before it, then trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fedrec.core.errors import ConfigError, RunError
from fedrec.core.progress import silent
from fedrec.data.time_windows import window_ends
from fedrec.evaluation.evaluator import Evaluator
from fedrec.experiment.config import Experiment
from fedrec.experiment.file import dump_experiment
from fedrec.metrics.ranking import ranked_items
from fedrec.run.directory import RunDirectory
from simulations.cli.app import app
from simulations.options import RunOptions
from simulations.replay.replay import LINES, Replay, replay
from simulations.runner import run
from tests.handmade import queries
from tests.integration.made_up import ITEMS, ROWS, wanted

WINDOWS, ROUNDS = 4, 2
STEP = ROWS // WINDOWS


def experiment(folder: Path, **changes: Any) -> Experiment:
    return wanted(folder, **{"adapter": {"private": ("item_bias*",)}, **changes})


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return Replay(experiment(tmp_path_factory.mktemp("replay") / "data"), WINDOWS, ROUNDS)


@pytest.fixture(scope="module")
def done(asked: Replay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("replayed") / "out"
    replay(asked, out, out.parent, silent)
    return out


def window(out: Path, number: int) -> RunDirectory:
    return RunDirectory(out / f"window-{number:02}")


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / LINES).read_text().splitlines()]


def parameters(of: RunDirectory) -> dict[str, torch.Tensor]:
    last = of.latest_checkpoint()
    assert last is not None
    return last.parameters


def test_windows_have_as_many_rows_as_equal_times_allow() -> None:
    assert window_ends(np.array([3, 1, 2, 0]), 2).tolist() == [2, 4]  # 0 and 1; 2 and 3
    assert window_ends(np.array([0, 5, 5, 5, 9, 9]), 2).tolist() == [6, 10]  # the third of six is a 5
    for times, windows in (([1, 1, 1], 2), ([], 1)):
        with pytest.raises(ConfigError, match=r"different times.*ask for fewer windows"):
            window_ends(np.array(times, dtype=np.int64), windows)


def test_each_window_trains_on_what_has_arrived_and_no_more(done: Path) -> None:
    for number in range(1, WINDOWS + 1):
        times = window(done, number).job.prepared.train.time
        assert set(times.tolist()) == set(range(number * STEP))
        assert window(done, number).rounds()[-1]["round"] == number * ROUNDS


def test_the_first_window_is_a_run_that_ends_there(asked: Replay, done: Path, tmp_path: Path) -> None:
    until = asked.experiment.split.model_copy(update={"until": STEP})
    same = asked.experiment.model_copy(update={"split": until, "rounds": ROUNDS})
    alone = parameters(run(same, RunOptions(out=tmp_path / "run", cache=tmp_path), silent))
    for name, value in parameters(window(done, 1)).items():
        assert torch.equal(value, alone[name])
    assert any(not torch.equal(value, alone[name]) for name, value in parameters(window(done, 2)).items())


def test_each_window_is_judged_by_what_was_trained_before_it(done: Path) -> None:
    lines = lines_of(done)
    private = window(done, 1).job.prepared.split.private
    assert [line["window"] for line in lines] == [2, 3, 4]
    assert [(line["start"], line["end"]) for line in lines] == [(2, 4), (4, 6), (6, 8)]
    for line in lines:
        assert line["users"] == len(private)
        assert line["interactions"] == len(private) * STEP
        assert line["difference"]["mean"] == pytest.approx(line["updated"]["mean"] - line["frozen"]["mean"])
    assert lines[0]["difference"]["mean"] == 0  # after one window both are the same model
    assert lines[0]["p_value"] == 1
    assert any(line["difference"]["mean"] != 0 for line in lines[1:])


def test_popularity_is_counted_on_what_came_before(done: Path) -> None:
    split = window(done, WINDOWS).job.prepared.split
    rows = {int(user): split.train.items_of(int(user)).tolist() for user in split.private}
    counts = np.bincount(np.concatenate([own[:STEP] for own in rows.values()]), minlength=ITEMS)
    assert len(set(counts.tolist())) < ITEMS  # ties, which have an order of their own: bounds of what they can give
    low, high = [], []
    for own in rows.values():
        seen, found = own[:STEP], own[STEP : 2 * STEP]
        for bound, above in ((high, np.greater), (low, np.greater_equal)):
            ranks = [
                1 + sum(bool(above(counts[i], counts[t])) for i in range(ITEMS) if i not in (*seen, t)) for t in found
            ]
            gain = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= 10)
            bound.append(gain / (1 + 1 / np.log2(3)))
    assert np.mean(low) <= lines_of(done)[0]["popularity"]["mean"] <= np.mean(high)


def test_a_killed_replay_goes_on_to_the_same_bits(asked: Replay, done: Path, tmp_path: Path) -> None:
    torn = tmp_path / "out"
    shutil.copytree(done, torn)
    shutil.rmtree(torn / "window-04")
    (torn / LINES).unlink()
    (torn / "window-04.part").mkdir()
    # of window 3 the second of its rounds is missing, too
    newest = sorted((torn / "window-03" / "private" / "checkpoints").iterdir())[-1]
    newest.unlink()
    replay(asked, torn, tmp_path, silent)
    assert lines_of(torn) == lines_of(done)
    for name, value in parameters(window(done, WINDOWS)).items():
        assert torch.equal(value, parameters(window(torn, WINDOWS))[name])


def test_clients_can_forget_earlier_windows(asked: Replay, tmp_path: Path) -> None:
    out = tmp_path / "out"
    replay(Replay(asked.experiment, 2, 1, forget=True), out, tmp_path, silent)
    assert set(window(out, 2).job.prepared.train.time.tolist()) == set(range(ROWS // 2, ROWS))


def test_simulated_choices_come_from_the_current_models_lists_and_say_so(asked: Replay, tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("one", "two")]
    for out in outs:
        replay(Replay(asked.experiment, 3, 1, feedback=True), out, tmp_path, silent)
    assert lines_of(outs[0]) == lines_of(outs[1])
    for line in lines_of(outs[0]):
        assert (line["feedback"], line["metric"]) == ("simulated", "simulated_choice@10")
        assert 0 < line["updated"]["low"] <= line["updated"]["high"] < 1
    first, second = window(outs[0], 1), window(outs[0], 2)
    before, after = first.job.prepared.train, second.job.prepared.train
    score = Evaluator(first.job).scorer(parameters(first))
    chosen = 0
    for user in first.job.prepared.split.private.tolist():
        history, now = before.items_of(user).tolist(), after.items_of(user).tolist()
        assert now[: len(history)] == history
        (listed,) = ranked_items(score(queries([history])), [np.array(history)])[:, :10]
        assert set(now[len(history) :]) <= set(listed.tolist())
        assert len(set(now)) == len(now)
        chosen += len(now) - len(history)
    looks = lines_of(outs[0])[0]["interactions"]
    assert 0 < chosen <= looks
    assert set(after.time.tolist()) == {*before.time.tolist(), lines_of(outs[0])[0]["end"] - 1}


def test_what_cannot_be_replayed_is_refused(asked: Replay, done: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"privacy.epsilon is for training without privacy"):
        Replay(experiment(tmp_path / "private", privacy={"epsilon": 8.0}), 2, 1)
    with pytest.raises(ConfigError, match=r"linear.on counts pairs once"):
        Replay(experiment(tmp_path / "linear", linear={"on": True}), 2, 1)
    with pytest.raises(ConfigError, match="1 windows: what comes in the first"):
        Replay(asked.experiment, 1, 1)
    with pytest.raises(ConfigError, match="9 windows: "):
        replay(Replay(asked.experiment, 9, 1), tmp_path / "nine", tmp_path, silent)
    assert len(replay(Replay(asked.experiment, 2, 1), tmp_path / "nine", tmp_path, silent)) == 1
    timeless = experiment(tmp_path / "file", data={"table": {"time": None}})
    with pytest.raises(ConfigError, match="have no times: there is nothing to replay"):
        replay(Replay(timeless, 2, 1), tmp_path / "timeless", tmp_path, silent)
    with pytest.raises(RunError, match="holds another replay"):
        replay(Replay(asked.experiment, 3, 1), done, tmp_path, silent)
    with pytest.raises(RunError, match="exists and is not empty"):
        replay(asked, tmp_path / "file", tmp_path, silent)


@pytest.mark.parametrize("feedback", [(), ("--feedback",)])
def test_the_command_tells_a_line_a_window(asked: Replay, feedback: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(dump_experiment(asked.experiment))
    told = (
        "replay",
        str(file),
        "--windows",
        "2",
        "--rounds",
        "1",
        "--out",
        str(tmp_path / "out"),
        "--quiet",
        *feedback,
    )
    shown = CliRunner().invoke(app, [*told])
    assert shown.exit_code == 0, shown.stderr
    assert ("SIMULATED" in shown.stdout) == bool(feedback)
    found = json.loads(CliRunner().invoke(app, [*told, "--json"]).stdout)
    assert found["lines"] == lines_of(tmp_path / "out")
    assert [line["window"] for line in found["lines"]] == [2]
