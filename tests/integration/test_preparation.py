"""What a run prepares is the same bits each time, the pretrained base above all."""

from pathlib import Path

import torch

from fedrec.prepared import prepare
from fedrec.progress import silent
from fedrec.threads import one_thread
from tests.tiny import tiny


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_two_preparations_pretrain_the_base_to_the_same_bits(tmp_path: Path, cache: Path) -> None:
    experiment = tiny(split={"public": 0.3}, model={"base": "public_users", "base_epochs": 5, "width": 64})
    for name in ("one", "two"):
        prepare(experiment, tmp_path / name, cache, silent)
    one, two = (sorted(path for path in (tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.name for path in one] == [path.name for path in two]
    for left, right in zip(one, two, strict=True):
        assert left.name == "ready.json" or left.read_bytes() == right.read_bytes(), left.name
