"""NewTask keeps the laws of every task, and its loss is the one that it should be."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from simulations.new.new_task import NewTask
from simulations.testing.tasks import TaskContract
from simulations.testing.world import tiny_experiment


class TestNewTask(TaskContract):
    plugin = "new_task.py:NewTask"


class Constant:
    """A model of three items that gives item 2 the score 2, and all others 0."""

    num_items = 3

    def __call__(self, batch: Mapping[str, Tensor], candidates: Tensor, shared: Tensor) -> Tensor:
        items = torch.cat((candidates, shared.expand(len(candidates), -1)), dim=1)
        return (2.0 * (items == 2)).unsqueeze(1).expand(-1, batch["history"].shape[1], -1)


def test_the_loss_compares_the_target_with_the_others() -> None:
    batch = {"history": torch.tensor([[0, 1]]), "target": torch.tensor([[2, -1]]), "user": torch.tensor([0])}
    model: Any = Constant()
    found = NewTask(tiny_experiment()).losses(model, batch, torch.tensor([0, 2]))
    # against item 0: log(1 + e^-2) = 0.126928; against itself: log 2 = 0.693147; the mean is 0.410038
    assert found.tolist() == pytest.approx([0.410038], abs=1e-6)
