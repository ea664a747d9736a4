"""What each test user got from a run's result is read back to the bit, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from fedrec.core.errors import RunError
from fedrec.evaluation.statistics.stored import keep_result, read_result
from fedrec.metrics.evaluation import Evaluation

FINGERPRINT = "f" * 64


def kept(path: Path) -> Evaluation:
    found = Evaluation(
        name="last",
        users=np.array([4, 7]),
        per_user={"recall@5": np.array([np.nan, 1 / 3]), "ndcg@5": np.array([0.1, -0.0])},
        ranks=(np.array([2, 9]), np.array([], dtype=np.int64)),
        recommended=np.array([[3, -1], [2, 0]]),
        lists={"coverage@5": 0.1 + 0.2},
    )
    keep_result(path, FINGERPRINT, {"last": found}, {"last": {"activity": np.array(["low", ""], dtype=np.str_)}})
    return found


def test_a_result_is_read_back_to_the_bit(tmp_path: Path) -> None:
    wrote = kept(tmp_path / "test.safetensors")
    test, groups = read_result(tmp_path / "test.safetensors", FINGERPRINT)
    found = test["last"]
    assert found.users.tolist() == [4, 7]
    assert all(found.per_user[name].tobytes() == values.tobytes() for name, values in wrote.per_user.items())
    assert [own.tolist() for own in found.ranks] == [[2, 9], []]
    assert found.lists == wrote.lists
    assert groups["last"]["activity"].tolist() == ["low", ""]


def test_what_is_damaged_or_of_another_experiment_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    kept(path)
    with pytest.raises(RunError, match="of another experiment"):
        read_result(path, "0" * 64)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="is damaged"):
        read_result(path, FINGERPRINT)


def test_a_run_without_test_users_keeps_an_empty_result(tmp_path: Path) -> None:
    keep_result(tmp_path / "test.safetensors", FINGERPRINT, {}, {})
    assert read_result(tmp_path / "test.safetensors", FINGERPRINT) == ({}, {})
