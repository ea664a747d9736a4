"""Rounds as TensorBoard events."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedrec.core.errors import ConfigError
from fedrec.reporting.tensorboard import TensorBoardObserver, scalars

LINE = {
    "round": 5,
    "loss": 5.5,
    "validation": {"last": {"ndcg@10": 0.25}},
    "epsilon": None,
    "cohort": 20,
    "replies": 19,
    "rejected": {"not finite": 1},
    "upload_bytes": 1000,
}


def written(folder):
    """Tag -> (step, value) of each event, as TensorBoard shows them."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_line_becomes_the_scalars_it_has():
    assert dict(scalars(LINE)) == {
        "validation/loss": 5.5,
        "validation/last/ndcg@10": 0.25,
        "round/cohort": 20.0,
        "round/replies": 19.0,
        "round/rejected": 1.0,
        "round/upload_bytes": 1000.0,
    }


def test_what_is_not_finite_or_missing_is_left_out():
    assert dict(scalars({"round": 1, "loss": float("nan"), "epsilon": float("inf"), "update_norm": "inf"})) == {
        "round/rejected": 0.0
    }


def test_the_step_is_the_round(tmp_path):
    observe = TensorBoardObserver(tmp_path / "events")
    for number in range(3):
        observe({"round": number, "loss": number + 0.5})
    observe.close()
    assert written(tmp_path / "events")["validation/loss"] == [(0, 0.5), (1, 1.5), (2, 2.5)]


def test_a_round_is_on_disk_before_the_next_begins(tmp_path):
    observe = TensorBoardObserver(tmp_path)
    observe({"round": 0, "loss": 0.5})
    assert written(tmp_path)["validation/loss"] == [(0, 0.5)]
    observe.close()


def test_a_resumed_run_shows_no_step_twice(tmp_path):
    killed = TensorBoardObserver(tmp_path)
    for number in range(4):
        killed({"round": number, "loss": 1.0})
    resumed = TensorBoardObserver(tmp_path)
    for number in (2, 3, 4):
        resumed({"round": number, "loss": 2.0})
    resumed.close()
    assert written(tmp_path)["validation/loss"] == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0)]


def test_nothing_is_written_before_the_first_round(tmp_path):
    TensorBoardObserver(tmp_path / "events").close()
    assert not (tmp_path / "events").exists()


def test_a_missing_tensorboard_is_the_users_turn(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("tensorboard", "torch.utils.tensorboard"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install fedrec\[tensorboard\]"):
        TensorBoardObserver(tmp_path)
