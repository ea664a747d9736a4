"""`fedrec periods`: test users before a moment and from it on, and training that ends there."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.core.errors import ConfigError
from fedrec.data.split import seconds_of
from fedrec.metrics.accuracy import ndcg_at
from fedrec.run.directory import RunDirectory
from fedrec.run.recommender import open_recommender
from simulations.cli.app import app
from tests.integration.made_up import ROWS, finished

CUT = 4


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished(tmp_path_factory.mktemp("periods") / "until", split={"until": CUT})


def call(of: RunDirectory, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["periods", str(of.path), "--quiet", *arguments])


def test_from_the_moment_on_only_test_users_have_rows(done: RunDirectory) -> None:
    split = done.job.prepared.split
    assert done.experiment.split.until == CUT
    assert set(split.train.time.tolist()) == set(range(CUT))
    assert split.held_out.lengths_of(split.validation).tolist() == [CUT] * len(split.validation)
    assert split.held_out.lengths_of(split.test).tolist() == [ROWS] * len(split.test)


def test_each_period_is_judged_as_if_the_next_had_not_come(done: RunDirectory) -> None:
    found = json.loads(call(done, "--json").stdout)
    assert (found["cut"], found["trained_until"], found["disclosure"]) == ("4", "4", "released")
    split, opened = done.job.prepared.split, open_recommender(done.path)
    gains = {}
    for name, end in (("before", CUT), ("after", ROWS)):  # a fifth of four rows is one: the last of each period
        values = []
        for user in split.test.tolist():
            *history, target = split.held_out.items_of(user)[:end]
            names = opened.recommend([opened.catalogue.ids[item] for item in history], 10)
            rank = names.index(opened.catalogue.ids[target]) + 1 if opened.catalogue.ids[target] in names else 11
            values.append(ndcg_at(np.array([rank]), 10))
        gains[name] = np.array(values)
        assert found["periods"][name]["users"] == len(split.test)
        assert found["periods"][name]["score"]["mean"] == pytest.approx(gains[name].mean())
    same = found["same_users"]
    assert same["users"] == len(split.test)
    assert same["difference"]["mean"] == pytest.approx((gains["after"] - gains["before"]).mean())


def test_another_moment_is_not_asked_after_it(done: RunDirectory) -> None:
    first = call(done, "--json")
    assert call(done, "--json").stdout == first.stdout
    assert "before" in call(done).stdout
    other = call(done, "--cut", "3")
    assert other.exit_code == 2
    assert "with cut = 4: to ask again" in other.stderr


def test_nobody_in_a_period_is_told_as_such(tmp_path: Path) -> None:
    of = finished(tmp_path / "open")
    assert "nothing says where a later period begins; give --cut" in " ".join(call(of).stderr.split())
    assert "--cut soon: write a day" in " ".join(call(of, "--cut", "soon").stderr.split())
    result = call(of, "--cut", "2020-01-01", "--json")  # seconds 0 to 7 are long before it
    found = json.loads(result.stdout)
    assert found["periods"].keys() == {"before"}
    assert found["periods"]["before"]["score"]["mean"] == pytest.approx(
        of.summary()["metrics"]["test"]["last20"]["ndcg@10"]
    )
    assert found["same_users"] == {"users": 0}
    assert "No user has two interactions in both periods." in call(of, "--cut", "2020-01-01").stdout


def test_without_times_there_are_no_periods(tmp_path: Path) -> None:
    of = finished(tmp_path / "file", data={"table": {"time": None}})
    assert "have no times, only an order in the file" in " ".join(call(of, "--cut", "4").stderr.split())
    with pytest.raises(ConfigError, match=r"split.until = 4: .* have no times"):
        finished(tmp_path / "until", data={"table": {"time": None}}, split={"until": 4})


def test_a_moment_before_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"split.until = 0 leaves nothing to train on: the first interaction is at 0"):
        finished(tmp_path / "early", split={"until": 0})


def test_a_day_is_its_first_second_in_utc() -> None:
    assert seconds_of(date(1970, 1, 2)) == 24 * 60 * 60
    assert seconds_of(7) == 7
