"""Finished controls are read back to the bit, or made again."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from fedrec.core.progress import silent
from fedrec.evaluation.controls.base import Control
from fedrec.evaluation.controls.kept import Kept, KeptControls
from fedrec.metrics.evaluation import Evaluation
from fedrec.privacy.disclosure import PRIVATE

NAN = float("nan")


def kept() -> Kept:
    found = Evaluation(
        name="last",
        users=np.array([4, 7]),
        per_user={"recall@5": np.array([NAN, 1 / 3]), "ndcg@5": np.array([0.1, -0.0])},
        ranks=(np.array([2, 9]), np.array([], dtype=np.int64)),
        recommended=np.array([[3, -1], [2, 0]]),
        lists={"coverage@5": 0.1 + 0.2, "novelty@5": NAN},
    )
    return Kept(Control({"last": found}, "made by hand", PRIVATE), 61.25)


@pytest.fixture
def controls(tmp_path: Path) -> KeptControls:
    return KeptControls(tmp_path / "controls", "f" * 64)


def test_a_control_is_read_back_to_the_bit(controls: KeptControls) -> None:
    controls.keep("mine:Own", kept())
    read, wrote = controls.find("mine:Own", silent), kept()
    assert read is not None
    assert (read.seconds, read.control.note, read.control.disclosure) == (61.25, "made by hand", PRIVATE)
    found, expected = read.control.test["last"], wrote.control.test["last"]
    assert list(found.per_user) == ["recall@5", "ndcg@5"], "in their order"
    for one, other in ((found.users, expected.users), (found.recommended, expected.recommended)):
        assert (one.tobytes(), one.dtype) == (other.tobytes(), other.dtype)
    assert [own.tolist() for own in found.ranks] == [[2, 9], []]
    assert all(found.per_user[name].tobytes() == values.tobytes() for name, values in expected.per_user.items())
    assert json.dumps(found.lists) == json.dumps(expected.lists)
    assert json.dumps(found.to_json()) == json.dumps(expected.to_json())


def test_a_control_that_was_not_kept_is_made(controls: KeptControls) -> None:
    assert controls.find("ease", silent) is None


def test_a_damaged_control_is_told_and_made_again(controls: KeptControls) -> None:
    controls.keep("ease", kept())
    (path,) = controls.folder.iterdir()
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(40):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))
        told: list[str] = []
        assert controls.find("ease", lambda *told_: told.append(told_[3])) is None  # noqa: B023 - called at once
        assert "ease.safetensors is damaged" in told[0]
    path.write_bytes(whole[:-1])
    assert controls.find("ease", silent) is None
    path.write_bytes(whole)
    assert controls.find("ease", silent) is not None


def test_another_controls_file_and_another_runs_count_as_none(controls: KeptControls, tmp_path: Path) -> None:
    controls.keep("ease", kept())
    (controls.folder / "ease.safetensors").rename(controls.folder / "central.safetensors")
    assert controls.find("central", silent) is None
    controls.keep("ease", kept())
    assert KeptControls(controls.folder, "0" * 64).find("ease", silent) is None
