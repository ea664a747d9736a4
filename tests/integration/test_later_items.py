"""Clients' own users on their own later items: what a client keeps is scored, and training never sees what is asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from fedrec.core.progress import silent
from fedrec.evaluation import later_items
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.later_items import LaterItems, judge_later_items
from fedrec.experiment.config import Experiment
from fedrec.models.matrix_factorization import MatrixFactorization
from fedrec.models.recommender import Scope
from fedrec.run.client_store import ClientStore
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import Prepared, prepare
from fedrec.training.rules.base import LocalWork, Rule
from simulations.options import RunOptions
from simulations.runner import run
from tests.tiny import rounds_of, tiny

USERS, ITEMS, ROWS, TASTES = 24, 16, 8, 2
WORK = LocalWork(steps=1, lr=0.5, optimizer="sgd")


def history(user: int) -> list[int]:
    """Return a user's items in time order: each of its taste's eight, begun at a place of its own."""
    return [8 * (user % TASTES) + (user // TASTES + step) % 8 for step in range(ROWS)]


def written(folder: Path, histories: Mapping[int, list[int]]) -> dict[str, Any]:
    """Write the rows and the users' tastes, and return the section that reads them."""
    folder.mkdir()
    rows = [f"u{user:02},i{item:02},{time}" for user, own in histories.items() for time, item in enumerate(own)]
    (folder / "rows.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    people = [f"u{user:02},{'ab'[user % TASTES]}" for user in histories]
    (folder / "users.csv").write_text("user,taste\n" + "\n".join(people) + "\n")
    table = {"time": "time", "users_path": folder / "users.csv"}
    return {"name": "table", "path": folder / "rows.csv", "table": table}


def wanted(data: dict[str, Any], **changes: Any) -> Experiment:
    sections: dict[str, Any] = {
        "data": data,
        "split": {"validation": 0.1, "test": 0.2, "later": 0.25},
        "federation": {"partition": "attribute", "attribute": "taste"},
        "model": {"name": "matrix_factorization", "width": 2},
        "adapter": {"name": "full", "private": ("item_bias*",)},
        "privacy": {"epsilon": float("inf")},
        "training": {"optimizer": "sgd", "lr": 2.0, "steps": 3},
        "evaluation": {"cutoffs": (1, 10), "controls": ("popularity", "ease")},
    }
    merged = {name: {**section, **changes.pop(name, {})} for name, section in sections.items()}
    return tiny(**merged, **changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return written(tmp_path_factory.mktemp("later") / "data", {user: history(user) for user in range(USERS)})


def begun(folder: Path, experiment: Experiment) -> RunDirectory:
    found = RunDirectory.create(folder, experiment, "later")
    prepare(experiment, found.private / "prepared", folder, silent)
    return found


def judged(of: RunDirectory, rule: Rule | None = None, last_round: int = 1, **adapter: torch.Tensor) -> LaterItems:
    evaluator = Evaluator(of.job)
    shared = {**evaluator.context.shared_start, **adapter}
    found = judge_later_items(of.job, evaluator, shared, rule or Rule(WORK), last_round, silent)
    assert found is not None
    return found


def test_training_and_its_controls_see_no_later_item(data: dict[str, Any], tmp_path: Path) -> None:
    # 0.25 * 8 = 2 items of each private user; in other data all but users 0 and 1, who name the items, want others
    prepare(wanted(data), tmp_path / "one", tmp_path, silent)
    split = Prepared(tmp_path / "one").split
    private = split.private.tolist()
    assert split.train.lengths_of(split.private).tolist() == [ROWS - 2] * len(private)
    assert [split.held_out.items_of(user).tolist() for user in private] == [history(user)[-2:] for user in private]
    assert Prepared(tmp_path / "one").train_counts.sum() == len(private) * (ROWS - 2)
    others = {user: history(user) for user in range(USERS)}
    for user in private[2:]:
        others[user][-2:] = [(item + 8) % ITEMS for item in others[user][-2:]]
    prepare(wanted(written(tmp_path / "data", others)), tmp_path / "two", tmp_path, silent)
    one, two = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == {"held_out/item.npy", "facts.json", "checksums.json"}


def test_users_are_ranked_by_what_their_client_keeps(data: dict[str, Any], tmp_path: Path) -> None:
    of = begun(tmp_path / "run", wanted(data))
    start, split = of.job.training_context.start, of.job.prepared.split
    # each client likes the eight items of its taste, of which its users have trained on all but the two later ones
    bias = torch.zeros(TASTES, ITEMS, 1)
    bias[0, :8], bias[1, 8:] = 1.0, 1.0
    nobody = torch.zeros(TASTES, *start["user_factor.weight"].shape)
    ClientStore.of(of.job).keep([0, 1], {"item_bias.weight": bias, "user_factor.weight": nobody}, round=1)
    found = judged(of, **{"item_factor.weight": torch.zeros_like(start["item_factor.weight"])})
    assert (found.clients, found.of_clients) == (2, 2)
    assert list(found.found) == ["personal", "shared", "popularity", "ease"]
    assert found.found["personal"].users.tolist() == split.private.tolist()
    assert {tuple(sorted(ranks.tolist())) for ranks in found.found["personal"].ranks} == {(1, 2)}
    # without what was kept all items score 0, so that chance decides among the ten that a user has not trained on
    assert found.found["shared"].means["ndcg@10"] < 0.8
    told = found.told(Evaluator(of.job).task)
    assert told["against"] == "personal"
    assert told["recommenders"]["personal"]["metrics"]["ndcg@10"] == pytest.approx(1.0)
    assert told["recommenders"]["personal"]["p_value"] is None
    assert told["recommenders"]["shared"]["p_value"] < 0.05


def circle(of: RunDirectory) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return items as points on a circle, and factors of each client's users that point at their very last item."""
    angles = 2 * np.pi * np.arange(ITEMS) / ITEMS
    items = torch.tensor(np.stack((np.cos(angles), np.sin(angles)), axis=1), dtype=torch.float32)
    prepared, shape = of.job.prepared, of.job.training_context.start["user_factor.weight"].shape
    factors = torch.zeros(TASTES, *shape)
    for client, users in enumerate(prepared.federation.users):
        factors[client, : len(users)] = items[[prepared.split.held_out.items_of(user)[-1] for user in users.tolist()]]
    return items, {"user_factor.weight": factors}


def test_each_user_of_a_client_has_factors_of_its_own(data: dict[str, Any], tmp_path: Path) -> None:
    of = begun(tmp_path / "run", wanted(data, adapter={"private": ()}))
    items, factors = circle(of)
    ClientStore.of(of.job).keep([0, 1], factors, round=1)
    found = judged(of, **{"item_factor.weight": items}).found["personal"]
    assert {int(ranks[-1]) for ranks in found.ranks} == {1}


class Keeper(Rule):
    """Serves with the item factors that it kept."""

    def kept_start(self, before: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"own": before["item_factor.weight"]}

    def personal(
        self, adapter: Mapping[str, torch.Tensor], kept: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        return {**adapter, "item_factor.weight": kept["own"]}


def test_a_rule_says_what_its_clients_serve_their_users_with(data: dict[str, Any], tmp_path: Path) -> None:
    of, rule = begun(tmp_path / "run", wanted(data, adapter={"private": ()})), Keeper(WORK)
    items, factors = circle(of)
    private = ClientStore.of(of.job)
    private.keep([1], {"user_factor.weight": factors["user_factor.weight"][1:]}, round=1)
    own = private.of_rule(rule, of.job.training_context.shared_start)
    assert own is not None
    own.keep([1], {"own": items[None]}, round=1)
    # client 0 never took part, and has nothing of its own to be asked about; the adapter that travels knows no item
    found = judged(of, rule, **{"item_factor.weight": torch.zeros_like(items)})
    assert (found.clients, found.of_clients) == (1, 1)
    assert found.found["personal"].users.tolist() == of.job.prepared.federation.users[1].tolist()
    assert {int(ranks[-1]) for ranks in found.found["personal"].ranks} == {1}
    assert found.found["shared"].means["hit_rate@1"] < 1


class Common(MatrixFactorization):
    """Whose factors of users travel, too."""

    scopes: ClassVar[Mapping[str, Scope]] = {}


def test_where_clients_keep_nothing_what_travels_is_asked_alone(
    data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later_items, "MOST_CLIENTS", 1)
    changes: dict[str, Any] = {"model": {"name": f"{__name__}:Common"}, "adapter": {"private": ()}}
    found = judged(begun(tmp_path / "run", wanted(data, **changes)))
    assert list(found.found) == ["shared", "popularity", "ease"]
    assert (found.clients, found.of_clients) == (1, 2)


def test_a_run_tells_a_simulation_alone_and_alike_whoever_trains(data: dict[str, Any], tmp_path: Path) -> None:
    experiment = wanted(data, rounds=4, evaluation={"select": "last"})
    done = run(experiment, RunOptions(out=tmp_path / "run", cache=tmp_path), silent)
    told = done.summary()["later_items"]["recommenders"]
    assert told["personal"]["metrics"]["ndcg@10"] > told["shared"]["metrics"]["ndcg@10"] + 0.2
    assert "later_items" not in json.loads((done.public / "summary.json").read_text())
    section = "The clients' own later items"
    assert section in (done.private / "report.html").read_text()
    assert section not in (done.public / "report.html").read_text()
    alone = begun(tmp_path / "alone", experiment)
    last = rounds_of(alone, clients=TASTES)  # one client at a time, through the ClientApp
    found = judged(alone, last_round=last.round, **last.parameters).told(Evaluator(alone.job).task)["recommenders"]
    for name, one in told.items():
        assert found[name]["metrics"]["ndcg@10"] == pytest.approx(one["metrics"]["ndcg@10"])


def test_without_later_items_nothing_is_told(data: dict[str, Any], tmp_path: Path) -> None:
    of = begun(tmp_path / "run", wanted(data, split={"later": 0.0}))
    evaluator, split = Evaluator(of.job), of.job.prepared.split
    assert judge_later_items(of.job, evaluator, evaluator.context.shared_start, Rule(WORK), 1, silent) is None
    assert split.held_out.lengths_of(split.private).sum() == 0
