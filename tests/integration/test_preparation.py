"""What a run prepares is the same bits each time, the pretrained base above all."""

from pathlib import Path

import numpy as np
import torch

from fedrec.core.progress import silent
from fedrec.core.threads import one_thread
from fedrec.data.federation import federate
from fedrec.data.interactions import Dataset
from fedrec.data.split import split_users
from fedrec.run.job import Job
from fedrec.run.preparation import Prepared, prepare
from tests.integration.conftest import NewRun
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
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one.keys() == two.keys()
    assert {str(path) for path in one if one[path] != two[path]} <= {"facts.json", "checksums.json"}


def test_what_is_opened_is_what_was_prepared(prepared: Path, ml100k: Dataset) -> None:
    experiment, opened = tiny(), Prepared(prepared)
    split = split_users(ml100k.interactions, experiment.split, experiment.split_seed)
    federation = federate(ml100k, split, experiment.federation, experiment.seed)
    for table in ("train", "held_out"):
        one, other = getattr(opened.split, table), getattr(split, table)
        assert (one.num_users, one.num_items) == (other.num_users, other.num_items)
        for column in ("bounds", "user", "item", "time", "value"):
            np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
    for group in ("private", "public", "validation", "test"):
        np.testing.assert_array_equal(getattr(opened.split, group), getattr(split, group))
    assert [users.tolist() for users in opened.federation.users] == [users.tolist() for users in federation.users]
    assert list(opened.federation.names) == list(federation.names)
    assert opened.train_counts.tolist() == np.bincount(split.train.item, minlength=1682).tolist()


def test_a_job_opens_by_the_bounds_alone(start: NewRun) -> None:
    sound, scrambled = (Job(start(tiny(training={"example": "prefix"})).path) for _ in range(2))
    for column in ("item", "time", "value"):  # whoever reads a row now gets the wrong one
        path = scrambled.private / "prepared" / "train" / f"{column}.npy"
        np.save(path, np.full_like(np.load(path), -1))
    assert scrambled.training_context.plan == sound.training_context.plan
    assert "user" not in vars(scrambled.prepared.train)
