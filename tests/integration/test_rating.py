"""Rating prediction: loss and errors by hand, and whole runs whose headline is an error, the lower the better."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.data.interactions import Interactions
from fedrec.data.split import Cases
from fedrec.metrics.evaluation import Judged
from fedrec.tasks import open_task
from simulations.options import RunOptions
from simulations.runner import run
from tests.handmade import context, experiment
from tests.tiny import tiny

TASK = {"name": "rating", "options": {"centre": 3.0}}


def rating(**sections):
    return open_task(experiment(task=TASK, **sections))


def rows() -> Interactions:
    """Two users: items 0, 1, 2 rated 5, 1, 4, and item 3 rated 2."""
    item, value = np.array([0, 1, 2, 3]), np.array([5, 1, 4, 2], dtype=np.float32)
    return Interactions.from_rows(np.array([0, 0, 0, 1]), item, np.arange(4), value, 2, 7)


def test_a_batch_has_the_historys_values_less_the_centre_and_the_targets_ratings():
    task = rating()
    batch = task.collate(task.judged(rows(), np.arange(2)))
    assert batch["history"].tolist() == [[0, 1]]
    assert batch["target"].tolist() == [[1, 2]]
    assert batch["value"].tolist() == [[2, -2]]
    assert batch["rating"].tolist() == [[1, 4]]


def test_the_loss_is_the_mean_squared_error_of_centre_plus_score():
    task, model = rating(), context().model
    batch = task.collate(task.judged(rows(), np.arange(2)))
    scores = model(batch)
    first, second = 3 + scores[0, 0, 1] - 1, 3 + scores[0, 1, 2] - 4
    torch.testing.assert_close(task.losses(model, batch, None), (first.square() + second.square())[None] / 2)


def test_errors_of_each_user_by_hand():
    # predictions 3 + score: user 0 is off by 3 + 1 - 1 = 3 and 3 + 1 - 4 = 0, user 1 by 3 + 1 - 2 = 2
    cases = Cases(
        name="last20",
        users=np.array([0, 1]),
        histories=[np.array([0]), np.array([1])],
        targets=[np.array([1, 2]), np.array([3])],
        excluded=0,
        history_values=[np.array([5.0]), np.array([4.0])],
        target_values=[np.array([1.0, 4.0]), np.array([2.0])],
    )
    shown = []

    def ones(queries):
        shown.extend(value.tolist() for value in queries.values)
        return np.ones((len(queries), 7), dtype=np.float32)

    found = rating().evaluate(ones, cases, Judged(7, (10,)))
    assert shown == [[2.0], [1.0]]
    assert found.per_user["rmse"].tolist() == pytest.approx([math.sqrt(4.5), 2.0])
    assert found.per_user["mae"].tolist() == [1.5, 2.0]
    assert found.to_json() == pytest.approx({"users": 2.0, "rmse": (math.sqrt(4.5) + 2) / 2, "mae": 1.75})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": {"name": "rating", "options": {"centre": "high"}}}, "task.options.centre = 'high'"),
        ({"task": {"name": "rating", "options": {"center": 3}}}, "task.options do not fit rating"),
        ({"task": {"name": "ratings"}}, "unknown task 'ratings'; did you mean 'rating'"),
        (
            {"task": TASK, "evaluation": {"controls": ["ease", "base"]}},
            "the scores of ease say nothing that rating judges",
        ),
        (
            {"task": TASK, "privacy": {"item_counts": {"share": 0.1}}},
            "privacy.item_counts.share is for tasks that rank",
        ),
        ({"task": TASK, "linear": {"on": True}}, "linear.on is for tasks that rank"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(changes, said):
    with pytest.raises(ConfigError, match=said):
        open_task(tiny(**changes))


def test_a_run_predicts_better_than_it_began_and_says_so_in_errors(tmp_path: Path, cache: Path) -> None:
    wanted = tiny(
        task=TASK,
        rounds=4,
        privacy={"epsilon": math.inf},
        training={"optimizer": "adam", "lr": 0.05, "steps": 4},
        evaluation={"controls": ["base", "local_only", "central"], "central_epochs": 2, "groups": ("gender",)},
    )
    done = run(wanted, RunOptions(out=tmp_path / "run", cache=cache), silent)
    summary = done.summary()
    own, base = (found["last20"]["rmse"] for found in (summary["metrics"]["test"], summary["controls"]["base"]["test"]))
    assert 0.8 < own < base
    assert summary["task"]["headline"] == {"target": "last20", "metric": "rmse", "higher_is_better": False}
    assert summary["groups"]["last20"]["worst_decile"]["rmse"] > own
    assert "NDCG" not in done.report.read_text()
