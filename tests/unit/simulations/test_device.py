"""Where clients train: what is asked for, or the CPU with a warning; and how much a GPU is given at once."""

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.training.vectorized import MOST_POSITIONS, most_positions
from simulations.engine.device import usable
from tests.handmade import context


def test_the_cpu_is_always_there():
    assert usable("cpu") == "cpu"


def test_without_cuda_there_is_a_warning_and_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="no CUDA device can be used here; clients train on the CPU"):
        assert usable("cuda") == "cpu"


def test_with_cuda_it_is_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert usable("cuda") == "cuda"


def test_an_unknown_device_says_which_there_are():
    with pytest.raises(ConfigError, match=r"--device tpu: should be one of cpu, cuda"):
        usable("tpu")


def test_a_call_is_as_large_as_scores_have_room(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert most_positions(1682, cpu) == MOST_POSITIONS
    assert most_positions(20_000, cpu) == 2**23 // 20_000
    assert most_positions(10**9, cpu) == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (32 * 1682 * 2 * 1000, 0))
    assert most_positions(1682, cuda) == 1000


def test_a_bench_moves_its_model_and_stays_itself_where_it_is():
    made = context()
    assert made.on(torch.device("cpu")) is made
    moved = made.on(torch.device("meta"))
    assert all(parameter.device.type == "meta" for parameter in moved.model.parameters())
    assert all(parameter.device.type == "cpu" for parameter in made.model.parameters())
