"""A finished run's recommender, opened from its folder: the same scores, and no held-out datum is read."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fedrec.core.errors import DataError, RunError
from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.models.linear.sums import pooled_weights
from fedrec.run.recommender import open_recommender
from simulations.options import RunOptions
from simulations.runner import run
from tests.tiny import tiny

HELD_OUT = ("held_out", "groups", "users.json", "train")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    place = tmp_path_factory.mktemp("opened") / "run"
    wanted = tiny(evaluation={"controls": ()}, linear={"on": True, "next_item": True}, privacy={"epsilon": math.inf})
    run(wanted, RunOptions(out=place, cache=cache), silent)
    return place


@pytest.fixture
def bare(finished: Path, tmp_path: Path) -> Path:
    """The same run without any user's rows."""
    place = tmp_path / "run"
    shutil.copytree(finished, place)
    for name in HELD_OUT:
        found = place / "private" / "prepared" / name
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    return place


def test_it_scores_as_the_run_was_judged_without_any_users_rows(finished: Path, bare: Path) -> None:
    from fedrec.run.directory import RunDirectory

    done = RunDirectory(finished)
    judged = Evaluator(done.job).test(open_recommender(bare).scorer)
    means = {target: found.to_json() for target, found in judged.items()}
    assert means == done.summary()["metrics"]["test"]


def test_its_linear_branch_is_made_of_sums_that_clients_sent_once(finished: Path) -> None:
    from fedrec.run.directory import RunDirectory

    done = RunDirectory(finished)
    assert done.summary()["linear_branch"]["gain"] > 0
    items, clients, bytes_a_number = 1682, 4, 4
    sent = clients * bytes_a_number * (2 * items * (items + 1) // 2 + items**2)
    assert sent < done.rounds()[0]["upload_bytes"] < 1.01 * sent
    pooled = pooled_weights(done.job.prepared.train, done.experiment.linear)
    last = done.latest_checkpoint(silent)
    assert last is not None
    assert torch.equal(last.released["pair_counts"], pooled["pair_counts"]), "whole numbers add up exactly"
    torch.testing.assert_close(last.released["next_items"], pooled["next_items"], rtol=1e-4, atol=1e-7)


def test_it_recommends_by_the_catalogues_names(bare: Path) -> None:
    opened = open_recommender(bare)
    history = [str(name) for name in opened.catalogue.ids[:3]]
    found = opened.recommend(history, 5)
    scores = opened.score([history, history[:1]])
    assert scores.shape == (2, len(opened.catalogue))
    order = [opened.catalogue.ids[item] for item in np.argsort(-scores[0], kind="stable")]
    assert found == [name for name in order if name not in history][:5]
    assert len(opened.recommend(history, 10**6)) == len(opened.catalogue) - 3
    assert opened.recommend(history, 0) == []
    assert opened.score([]).shape == (0, len(opened.catalogue))


def test_what_cannot_be_answered_is_an_error_that_says_so(bare: Path, tmp_path: Path) -> None:
    opened = open_recommender(bare)
    with pytest.raises(DataError, match=r"unknown items \['no such item'\]"):
        opened.recommend(["no such item"])
    with pytest.raises(DataError, match="an empty history"):
        opened.score([[]])
    with pytest.raises(DataError, match="as many values"):
        opened.score([opened.catalogue.ids[:2]], [[1.0]])
    with pytest.raises(RunError, match=r"no finished recommender.*fedrec resume"):
        open_recommender(tmp_path / "nothing")
