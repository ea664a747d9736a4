"""What every task keeps: examples that are counted beforehand, losses that know no padding, and a judgement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clients.app import app
from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray, Interactions
from fedrec.experiment.config import Experiment
from fedrec.run.job import Job
from fedrec.tasks import TASKS, Task, open_task
from simulations.engine.inprocess import InProcessGrid
from simulations.options import RunOptions
from simulations.runner import run
from simulations.testing.contract import Contract
from simulations.testing.world import CLIENTS, last_round, new_run, tiny_experiment, world

ROUNDING = 1e-5


class TaskContract(Contract):
    """The laws of a task, on the world's users and a model that it can train.

    Attributes:
        options: What an experiment would write into `task.options`.
        sections: Further sections of the experiment, such as `{"model": {"name": ...}}`.
    """

    options: Mapping[str, Any] = {}
    sections: Mapping[str, Any] = {}

    def experiment(self, plugin: str, **more: Any) -> Experiment:
        """Return an experiment with the task."""
        return tiny_experiment(task={"name": plugin, "options": dict(self.options)}, **{**self.sections, **more})

    @pytest.fixture
    def job(self, plugin: str, tmp_path: Path) -> Job:
        """A prepared run of the task."""
        return new_run(tmp_path / "run", self.experiment(plugin)).job

    @pytest.fixture
    def task(self, job: Job) -> Task:
        """The task."""
        return open_task(job.experiment)

    @pytest.fixture
    def rows(self, job: Job) -> Interactions:
        """The training users' rows."""
        return job.prepared.train

    @pytest.fixture
    def users(self, rows: Interactions) -> IntArray:
        """All users, those without rows among them."""
        return np.arange(rows.num_users)

    @pytest.fixture
    def drawn(self, task: Task, rows: Interactions, users: IntArray) -> list[Any]:
        """Some examples of different users."""
        examples = task.examples(rows, users)
        return task.draw(examples, np.arange(0, len(examples), max(1, len(examples) // 6)), rng_for(0, "draw"))

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (TASKS.get(plugin).__doc__ or "").strip()

    def test_an_option_that_it_does_not_have_is_refused(self, plugin: str) -> None:
        wanted = self.experiment(plugin)
        options = {**wanted.task.options, "no_such_option": 9}
        with pytest.raises(ConfigError, match="options do not fit"):
            open_task(wanted.model_copy(update={"task": wanted.task.model_copy(update={"options": options})}))

    def test_its_headline_is_one_of_its_targets_and_among_what_is_shown(self, task: Task) -> None:
        assert task.headline.target in {cut.name for cut in task.targets}
        assert task.headline.metric in task.shown
        assert task.errors <= {*task.shown}
        assert task.headline.higher_is_better is (task.headline.metric not in task.errors)
        assert task.controls

    def test_examples_are_counted_without_reading_a_row(self, task: Task, rows: Interactions, users: IntArray) -> None:
        counts = task.count(rows.lengths_of(users))
        assert len(task.examples(rows, users)) == counts.sum() > 0
        assert all(len(task.examples(rows, users[user : user + 1])) == counts[user] for user in users)

    def test_a_user_without_rows_has_no_example(self, task: Task, rows: Interactions, users: IntArray) -> None:
        (without,) = (users[rows.lengths_of(users) == 0][:1],)
        assert task.count(np.array([0])).tolist() == task.positions(np.array([0])).tolist() == [0]
        assert len(task.examples(rows, without)) == 0
        assert task.cover(rows, int(without[0])) == []
        assert task.judged(rows, without) == []

    def test_the_same_generator_draws_the_same_examples(self, task: Task, rows: Interactions, users: IntArray) -> None:
        examples = task.examples(rows, users)
        chosen = np.arange(len(examples))
        first, again = (task.collate(task.draw(examples, chosen, rng_for(1, "draw"))) for _ in range(2))
        assert all(torch.equal(first[name], again[name]) for name in first)

    def test_a_batch_has_its_examples_along_the_first_axis(self, task: Task, drawn: list[Any]) -> None:
        for some in (drawn, drawn[:1], []):
            batch = task.collate(some)
            assert {"history", "user"} <= batch.keys()
            assert {name: len(value) for name, value in batch.items()} == dict.fromkeys(batch, len(some))

    def test_an_example_has_a_size_that_its_users_positions_cover(
        self, task: Task, rows: Interactions, users: IntArray
    ) -> None:
        for user in users:
            examples = task.examples(rows, users[user : user + 1])
            sizes = [task.size(one) for one in task.draw(examples, np.arange(len(examples)), rng_for(0, "size"))]
            assert all(size >= 1 for size in sizes)
            assert sum(sizes) <= task.positions(rows.lengths_of(users[user : user + 1]))[0]

    def test_a_loss_knows_neither_padding_nor_its_neighbours(self, job: Job, task: Task, drawn: list[Any]) -> None:
        together = losses(job, task, drawn)
        assert together.shape == (len(drawn),)
        assert together.isfinite().all()
        alone = torch.cat([losses(job, task, [example]) for example in drawn])
        torch.testing.assert_close(alone, together, rtol=ROUNDING, atol=ROUNDING)
        torch.testing.assert_close(losses(job, task, drawn[::-1]).flip(0), together, rtol=ROUNDING, atol=ROUNDING)

    def test_an_empty_batch_has_no_loss(self, job: Job, task: Task) -> None:
        assert losses(job, task, []).shape == (0,)

    def test_every_training_step_of_a_client_is_the_same_on_both_ways(self, plugin: str, tmp_path: Path) -> None:
        privacy = {"noise_multiplier": 0.1, "clip_norm": 0.01, "trust": "local", "noise_key": 0}
        chunks, alone = (new_run(tmp_path / name, self.experiment(plugin, privacy=privacy)) for name in ("a", "b"))
        expected = last_round(alone, InProcessGrid(app, CLIENTS)).parameters
        for name, value in last_round(chunks).parameters.items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=ROUNDING)

    def test_a_whole_run_is_judged_by_its_headline(self, plugin: str, task: Task, tmp_path: Path) -> None:
        options = RunOptions(out=tmp_path / "whole", cache=world() / "cache")
        summary = run(self.experiment(plugin), options, silent).summary()
        assert np.isfinite(summary["metrics"]["test"][task.headline.target][task.headline.metric])


def losses(job: Job, task: Task, examples: list[Any]) -> Tensor:
    """Return the loss of each example under the untrained model, with the sample of a first step."""
    context = job.training_context
    with torch.inference_mode():
        return task.losses(context.model, task.collate(examples), context.sample(1, 0))
