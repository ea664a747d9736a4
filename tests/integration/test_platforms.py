"""A run over two platforms: two small shops, each with items and customers of its own, trained, judged and attacked."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedrec.core.errors import DataError
from fedrec.core.progress import silent
from fedrec.core.seeding import rng_for
from fedrec.experiment.config import DataConfig, Experiment
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import prepare
from fedrec.run.recommender import open_recommender
from simulations.attacks.audit import Audit, audit_prepared
from simulations.attacks.recovery import Recovery, recovery_point
from simulations.options import RunOptions
from simulations.runner import run
from tests.tiny import new_run, rounds_of, tiny

ITEMS, USERS = {"books": 12, "films": 15}, {"books": 30, "films": 60}
CONTROLS = ("random", "popularity", "ease", "base", "local_only", "central")


def shop(folder: Path, name: str) -> DataConfig:
    """Write a shop's two tables, in which every user has six items at random, and return its data section."""
    rng = rng_for(0, "a shop", name)
    rows = [f"{user},{item}" for user in range(USERS[name]) for item in rng.permutation(ITEMS[name])[:6]]
    (folder / f"{name}.csv").write_text("\n".join(["user,item", *rows]))
    titles = [f"{item},{name[:-1]} number {item}" for item in range(ITEMS[name])]
    (folder / f"{name}-items.csv").write_text("\n".join(["item,title", *titles]))
    table = {"items_path": folder / f"{name}-items.csv", "text": ("title",)}
    return DataConfig.model_validate({"name": "table", "path": folder / f"{name}.csv", "table": table})


def of_shops(folder: Path, **changes: Any) -> Experiment:
    evaluation = {"cutoffs": (5, 10), "controls": (), **changes.pop("evaluation", {})}
    return tiny(platforms={name: shop(folder, name) for name in ITEMS}, evaluation=evaluation, **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    folder = tmp_path_factory.mktemp("shops")
    experiment = of_shops(
        folder,
        split={"public": 0.3, "test": 0.3},
        model={"base": "public_users", "base_epochs": 2},
        federation={"clients": 2},
        evaluation={"controls": CONTROLS, "groups": ("activity",), "central_epochs": 2},
    )
    return run(experiment, RunOptions(engine="inprocess", out=folder / "run", cache=cache), silent)


def test_results_are_told_by_platform_and_as_a_mean_that_counts_platforms_alike(finished: RunDirectory) -> None:
    summary = finished.summary()
    test = summary["metrics"]["test"]["last20"]
    means = summary["groups"]["last20"]["groups"]["platform"]["means"]["ndcg@10"]
    assert set(means) == {"books", "films"}
    assert test["macro_ndcg@10"] == pytest.approx(sum(means.values()) / 2)
    # 30 and 60 users, 30 % of them for testing: 9 and 18
    assert test["users"] == 9 + 18
    assert test["ndcg@10"] == pytest.approx((9 * means["books"] + 18 * means["films"]) / 27)
    for name in CONTROLS:
        assert 0 <= summary["controls"][name]["test"]["last20"]["macro_ndcg@10"] <= 1
    assert (
        summary["controls"]["local_only"]["note"]
        == "mean of 4 of 4 clients alone, each on its own platform, no privacy"
    )
    assert "NDCG@10, mean over platforms" in (finished.private / "report.html").read_text()


def test_what_is_published_of_platforms_is_public(finished: RunDirectory) -> None:
    told = json.loads((finished.public / "summary.json").read_text())["dataset"]
    assert told["platforms"] == {"names": ["books", "films"], "users": [30, 60], "items": [12, 15]}
    assert finished.summary()["dataset"]["platforms"]["interactions"] == [30 * 6, 60 * 6]
    assert "30 users and 12 items" in (finished.public / "report.html").read_text()


def test_an_opened_recommender_recommends_within_the_platform_of_a_history(finished: RunDirectory) -> None:
    opened = open_recommender(finished.path)
    found = opened.recommend(["films/3", "films/9"], k=100)
    assert sorted(found) == sorted(f"films/{item}" for item in range(15) if item not in {3, 9})
    with pytest.raises(DataError, match="items of books, films"):
        opened.recommend(["films/3", "books/9"])


def test_units_are_those_of_all_platforms_together(finished: RunDirectory) -> None:
    split, plan = finished.job.prepared.facts["split"], finished.job.plan
    # of 30 users 9 are tested and 3 validate, of 60 18 and 6; 30 % of the other 18 and 36 are public
    assert split["private"] == (18 - 5) + (36 - 11)
    assert plan.delta == pytest.approx(min(split["private"] ** -1.1, 0.01 / split["private"]))
    assert plan.clients == 2 + 2


def test_each_platform_trains_a_softmax_over_its_own_items_alone(tmp_path: Path, cache: Path) -> None:
    experiment = of_shops(
        tmp_path,
        privacy={"epsilon": float("inf")},
        adapter={"private": (), "name": "none", "item_projection": False},
        federation={"partition": "platform"},
    )
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = new_run(tmp_path / "run", tmp_path / "prepared", experiment)
    bias = rounds_of(run, clients=2).parameters["item_bias.weight"].flatten()
    books, films = (bias[slice(*bounds)] for bounds in ((0, 12), (12, 27)))
    # the gradient of a softmax sums to 0 over the items that it is over, and so does what SGD makes of it
    assert abs(float(books.sum())) < 1e-6
    assert abs(float(films.sum())) < 1e-6
    assert float(books.abs().max()) > 1e-4 < float(films.abs().max())


@pytest.fixture(scope="module")
def single_users(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Experiment, Path]:
    """An experiment whose clients are users of either platform, and the folder of what it prepared."""
    folder = tmp_path_factory.mktemp("users")
    experiment = of_shops(
        folder,
        rounds=2,
        federation={"partition": "users"},
        adapter={"private": ()},
        privacy={"epsilon": 8.0, "delta": 1e-5, "clip_norm": 0.1},
    )
    prepare(experiment, folder / "prepared", cache, silent)
    return experiment, folder / "prepared"


def test_an_audit_has_canaries_on_both_platforms_and_finds_the_claim_sound(
    single_users: tuple[Experiment, Path], tmp_path: Path
) -> None:
    experiment, prepared = single_users
    found = audit_prepared(experiment, prepared, tmp_path / "run", Audit(canaries=80), silent)
    assert 0 <= found.bound.epsilon <= found.claimed
    assert not found.others


def test_an_attack_looks_for_a_users_items_among_those_of_its_platform(
    single_users: tuple[Experiment, Path], tmp_path: Path
) -> None:
    experiment, prepared = single_users
    unprotected = experiment.model_copy(
        update={"privacy": experiment.privacy.model_copy(update={"epsilon": float("inf"), "delta": None})}
    )
    point = recovery_point(unprotected, prepared, tmp_path / "run", silent, Recovery(victims=20))
    auc = {line: found.mean for line, found in point.measures["auc"].items()}
    assert auc["random"] == 0.5
    assert auc["update"] > 0.8
    # ranked among 12 or 15 items, 6 of which are the victim's; among all 27 it would be 6 / 27 = 0.22
    assert 6 / 15 <= point.measures["precision_at_10"]["random"].mean <= 6 / 12
