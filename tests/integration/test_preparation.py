"""What a run prepares is the same bits each time, the pretrained base above all."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.core.threads import one_thread
from fedrec.data.federation import federate
from fedrec.data.interactions import Dataset
from fedrec.data.split import split_users
from fedrec.experiment.config import DataConfig
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


def test_one_platform_by_name_is_the_short_form_to_the_bit(prepared: Path, tmp_path: Path, cache: Path) -> None:
    named = tiny(platforms={"video": DataConfig(name="movielens-100k")})
    prepare(named, tmp_path, cache, silent)
    files = {path.relative_to(prepared) for path in prepared.rglob("*") if path.is_file()}
    differing = {str(file) for file in files if (prepared / file).read_bytes() != (tmp_path / file).read_bytes()}
    # the platform's name, and how long it took
    assert differing == {"platforms/names.npy", "platforms/name_bounds.npy", "facts.json", "checksums.json"}
    assert Prepared(tmp_path).platforms.names == ("video",)


def test_two_platforms_are_prepared_side_by_side_as_each_alone(prepared: Path, tmp_path: Path, cache: Path) -> None:
    both = {"video": DataConfig(), "grocery": DataConfig(name="complete-journey-types")}
    prepare(tiny(platforms=both, federation={"clients": 3}), tmp_path, cache, silent)
    found, alone = Prepared(tmp_path), Prepared(prepared)
    platforms = found.platforms
    assert platforms.names == ("grocery", "video")
    assert platforms.items.tolist() == [0, 2378, 2378 + 1682]
    assert platforms.users.tolist() == [0, 2460, 2460 + 943]
    assert found.item_vectors.shape == (4060, 16)
    for group in ("private", "validation", "test"):
        users = getattr(found.split, group)
        np.testing.assert_array_equal(users[users >= 2460] - 2460, getattr(alone.split, group))
    user = int(found.split.test[-1])
    np.testing.assert_array_equal(
        found.split.held_out.items_of(user) - 2378, alone.split.held_out.items_of(user - 2460)
    )
    assert platforms.of_clients(found.federation).tolist() == [0, 0, 0, 1, 1, 1]
    assert list(found.federation.names)[2:4] == ["grocery/shard-2", "video/shard-0"]
    assert found.facts["dataset"]["platforms"]["interactions"] == [434_202, 100_000]
    assert found.users.attributes["platform"][2459:2461] == ["grocery", "video"]


def test_a_platform_that_cannot_be_split_is_named(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "few.csv").write_text("user,item\na,x\na,y\n")
    few = DataConfig.model_validate({"name": "table", "path": tmp_path / "few.csv"})
    experiment = tiny(platforms={"few": few, "video": DataConfig()}, privacy={"epsilon": math.inf})
    with pytest.raises(ConfigError, match=r"platform 'few': the split leaves no test"):
        prepare(experiment, tmp_path / "run", cache, silent)


def test_a_job_opens_by_the_bounds_alone(start: NewRun) -> None:
    sound, scrambled = (Job(start(tiny(training={"example": "prefix"})).path) for _ in range(2))
    for column in ("item", "time", "value"):  # whoever reads a row now gets the wrong one
        path = scrambled.private / "prepared" / "train" / f"{column}.npy"
        np.save(path, np.full_like(np.load(path), -1))
    assert scrambled.training_context.plan == sound.training_context.plan
    assert "user" not in vars(scrambled.prepared.train)
