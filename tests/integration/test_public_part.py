"""What a run publishes says nothing of one user beyond what was released: two runs on neighbouring data, compared.

Noise hides what is released; what is not released must not differ at all. So the released values are taken away (sums
are 0, noise alone is released), and the public parts of two runs, of which one lacks a user's data, are compared byte
for byte. Their private parts differ.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clients.cohort import answer_cohort
from fedrec.core.files import write_whole
from fedrec.core.progress import silent
from fedrec.data.columns import write_columns
from fedrec.data.interactions import Dataset, Interactions
from fedrec.data.platform import Platforms
from fedrec.data.split import split_users
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.validation.contributions import Contributions
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import ModelInputs
from fedrec.reporting.explain import explain
from fedrec.reporting.summary import conclude
from fedrec.run.directory import METRICS, RunDirectory
from fedrec.run.preparation import ROWS, Prepared, prepare
from fedrec.training import vectorized
from fedrec.training.pretraining import pretrained_base
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.polls import item_counts
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.cohorts import CohortGrid, OneProcess
from tests.tiny import new_run, tiny

FILES = ("adapter.safetensors", "checksums.json", "ledger.json", "metrics.jsonl", "report.html", "summary.json")


def emptied(rows: Interactions, user: int) -> Interactions:
    """Return rows without those of one user."""
    kept = np.ones(len(rows), dtype=bool)
    kept[rows.bounds[user] : rows.bounds[user + 1]] = False
    lengths = np.diff(rows.bounds)
    lengths[user] = 0
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    return Interactions(bounds, rows.item[kept], rows.time[kept], rows.value[kept], rows.num_items)


def without(prepared: Path, place: Path, user: int, table: str = "train") -> Path:
    """Copy a prepared folder and take all data of one user away; the user stays: zero-out."""
    shutil.copytree(prepared, place)
    source = Prepared(place)
    before = source.train if table == "train" else source.split.held_out
    rows = emptied(before, user)
    write_columns(place / table, **{name: getattr(rows, name) for name in ROWS})
    facts = json.loads((place / "facts.json").read_text())
    if table == "train":
        write_columns(place / "train", item_counts=np.bincount(rows.item, minlength=rows.num_items))
    else:
        facts["split"]["excluded"] += 1
    facts["dataset"]["interactions"] -= len(before) - len(rows)
    write_whole(place / "facts.json", json.dumps(facts))
    return place


def published(experiment: Experiment, prepared: Path, place: Path) -> RunDirectory:
    """Run to the end."""
    run = new_run(place, prepared, experiment)
    grid = CohortGrid(len(run.job.prepared.federation), OneProcess(), answer_cohort)
    evaluator = Evaluator(run.job)
    last = run_rounds(RoundContext(run, build_strategy(run.job), grid, evaluator), silent, (), StopRequest(run.path))
    conclude(run, evaluator, last, silent)
    return run


CENTRAL: dict[str, Any] = {
    "rounds": 3,
    "split": {"public": 0.1},
    "federation": {"partition": "users", "participation": 0.1, "sampling": "poisson", "min_replies": 0},
    "adapter": {"private": ()},
    "evaluation": {"every": 1, "controls": ("random", "popularity", "base", "base_popularity", "ease")},
}


@pytest.mark.parametrize(
    ("privacy", "federation"),
    [
        ({"item_counts": {"share": 0.25}}, {}),
        ({"adaptive_clip": {"quantile": 0.5, "noise": 0.5}}, {}),
        ({"bands": 2}, {}),
        ({"filter_rounds": 1, "clip_norm": 1.0}, {"sampling": "fixed", "participation": 1.0}),
    ],
    ids=["item counts", "adaptive clipping", "bands", "filters"],
)
def test_the_public_parts_of_neighbouring_runs_are_equal_byte_for_byte(
    privacy: dict[str, Any],
    federation: dict[str, Any],
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {**CENTRAL, "federation": {**CENTRAL["federation"], **federation}}
    experiment = tiny(**changes, privacy={"trust": "central", "epsilon": 8.0, **privacy})
    prepare(experiment, tmp_path / "prepared", cache, silent)
    source = Prepared(tmp_path / "prepared")
    user = int(np.argmax(source.train.lengths_of(source.federation.users.values)))
    neighbour = without(tmp_path / "prepared", tmp_path / "neighbour", int(source.federation.users.values[user]))

    real = SumAggregator.add_cohort

    def nothing(self: SumAggregator, before: Any, update: Any) -> UpdateSum:
        total = real(self, before, update)
        return replace(total, sums={name: np.zeros_like(value) for name, value in total.sums.items()}, bits=0.0)

    monkeypatch.setattr(SumAggregator, "add_cohort", nothing)
    monkeypatch.setattr(item_counts, "shortened", lambda counts, clip_norm: np.zeros(len(counts)))
    runs = [
        published(experiment, folder, tmp_path / name)
        for name, folder in (("whole", tmp_path / "prepared"), ("less", neighbour))
    ]
    for file in FILES:
        assert (runs[0].public / file).read_bytes() == (runs[1].public / file).read_bytes(), file
    assert {path.name for path in runs[0].public.iterdir()} == set(FILES)
    summaries = [run.summary() for run in runs]
    assert summaries[0]["dataset"]["interactions"] > summaries[1]["dataset"]["interactions"]
    assert summaries[0]["controls"]["popularity"] != summaries[1]["controls"]["popularity"]
    if "filter_rounds" in privacy:
        assert summaries[0]["filter"] != summaries[1]["filter"]
    public = json.loads((runs[0].public / "summary.json").read_text())
    assert public["controls"].keys() == {"random", "base", "base_popularity"}
    assert public["popularity_of"] == "public users"


def test_under_local_trust_the_public_parts_of_neighbouring_runs_are_equal_too(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shards of several users: a user without data counts in its client's denominator, and in nothing else.
    experiment = tiny(
        split={"public": 0.1}, adapter={"private": ()}, evaluation={"every": 1, "controls": ("random", "base", "ease")}
    )
    prepare(experiment, tmp_path / "prepared", cache, silent)
    source = Prepared(tmp_path / "prepared")
    neighbour = without(tmp_path / "prepared", tmp_path / "neighbour", int(source.federation.users[0][0]))
    real = vectorized.clip_

    def nothing(gradients: dict[str, torch.Tensor], clip_norm: float) -> Any:
        found = real(gradients, clip_norm)
        for gradient in gradients.values():
            gradient.zero_()
        return found

    monkeypatch.setattr(vectorized, "clip_", nothing)
    runs = [
        published(experiment, folder, tmp_path / name)
        for name, folder in (("whole", tmp_path / "prepared"), ("less", neighbour))
    ]
    for file in FILES:
        assert (runs[0].public / file).read_bytes() == (runs[1].public / file).read_bytes(), file


def test_what_a_poisson_cohort_was_like_is_nowhere_in_the_public_part(tmp_path: Path, cache: Path) -> None:
    experiment = tiny(**CENTRAL, privacy={"trust": "central", "epsilon": 8.0})
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = published(experiment, tmp_path / "prepared", tmp_path / "run")
    lines = [json.loads(line) for line in (run.public / "metrics.jsonl").read_text().splitlines()]
    told = {key for line in lines for key in line}
    assert told == {"round", "loss", "validation", "epsilon", "update_norm"}
    assert [line["cohort"] for line in run.rounds()[1:]] == [len(run.job.cohort(number)) for number in (1, 2, 3)]


def test_under_privacy_popularity_is_never_counted_on_private_users(tmp_path: Path, cache: Path) -> None:
    alone = tiny(**{**CENTRAL, "split": {"public": 0.0}, "evaluation": {"controls": ()}}, privacy={"trust": "central"})
    prepare(alone, tmp_path / "prepared", cache, silent)
    evaluator = Evaluator(new_run(tmp_path / "run", tmp_path / "prepared", alone).job)
    assert (evaluator.popular.counts, evaluator.popular.of) == (None, "nobody")
    evaluator.learn_popularity({"item_counts": torch.tensor([-1.0, 3.0])})
    assert evaluator.popular.of == "released item counts"
    assert evaluator.popular.counts is not None
    assert evaluator.popular.counts.tolist() == [0.0, 3.0]


def test_where_the_number_of_users_is_private_the_public_part_does_not_tell_it(tmp_path: Path, cache: Path) -> None:
    private = {"adjacency": "add-remove", "delta": 1e-5, "trust": "central", "epsilon": 8.0}
    federation = {**CENTRAL["federation"], "declared_cohort": 60.0}
    experiment = tiny(**{**CENTRAL, "federation": federation}, privacy=private)
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = published(experiment, tmp_path / "prepared", tmp_path / "run")
    users = len(Prepared(tmp_path / "prepared").federation.users.values)
    assert run.summary()["federation"]["clients"] == users
    public = json.loads((run.public / "summary.json").read_text())
    assert "split" not in public
    assert public["dataset"].keys().isdisjoint({"users", "interactions"})
    assert "clients" not in public["federation"]
    assert public["privacy"]["adjacency"] == "add-remove"
    assert f">{users}<" not in (run.public / "report.html").read_text(encoding="utf-8")


def test_a_run_on_data_without_times_says_that_nothing_later_was_predicted(tmp_path: Path, cache: Path) -> None:
    rows = "\n".join(f"u{row // 6},i{row * 7 % 11}" for row in range(180))
    (tmp_path / "rows.csv").write_text(f"user,item\n{rows}\n")
    experiment = tiny(
        rounds=1,
        data={"name": "table", "path": tmp_path / "rows.csv"},
        privacy={"epsilon": float("inf")},
        evaluation={"cutoffs": (5, 10)},  # of 11 items
    )
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = published(experiment, tmp_path / "prepared", tmp_path / "run")
    public = json.loads((run.public / "summary.json").read_text())
    times, few, small = public["warnings"]
    assert times.startswith('The data have no times, so "the last 20 %" means the last in the file')
    assert few.startswith("Only 6 test users could be ranked.")  # 20 % of 30
    assert small.startswith("The catalogue has 11 items, so lists of 10")
    page = (run.public / "report.html").read_text()
    assert "The data have no times" in page
    # what is the file's last row is not ranked, told or drawn
    assert [set(public[part]) for part in ("intervals", "groups")] == [{"last20"}, {"last20"}]
    assert set(public["metrics"]["test"]) == set(public["metrics"]["validation"]) == {"last20"}
    assert all(set(line.get("validation", {"last20"})) == {"last20"} for line in run.rounds())
    assert "NDCG@10 on the last item" not in page
    assert page.count("the last item") == 1  # in the warning


def test_where_the_number_of_users_is_private_no_warning_tells_of_it(tmp_path: Path, cache: Path) -> None:
    private = {"adjacency": "add-remove", "delta": 1e-5, "trust": "central", "epsilon": 8.0}
    changes = {**CENTRAL, "federation": {**CENTRAL["federation"], "declared_cohort": 60.0}, "rounds": 1}
    experiment = tiny(**{**changes, "split": {"public": 0.1, "test": 0.02}}, privacy=private)
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = published(experiment, tmp_path / "prepared", tmp_path / "run")
    (few,) = run.summary()["warnings"]
    assert "test users could be ranked" in few
    assert json.loads((run.public / "summary.json").read_text())["warnings"] == []


PRIVATE_VALIDATION: dict[str, Any] = {
    **CENTRAL,
    "privacy": {"trust": "central", "epsilon": 8.0, "item_counts": {"share": 0.25}},
}


def with_private_validation(select: str, **private: Any) -> Experiment:
    evaluation = {**CENTRAL["evaluation"], "select": select, "every": 2, "private": {"epsilon": 2.0, **private}}
    return tiny(**PRIVATE_VALIDATION | {"evaluation": evaluation})


@pytest.mark.parametrize(
    ("form", "held_out"),
    [
        ("mean", "test"),
        ("histogram", "validation"),
        pytest.param("mean", "validation", marks=pytest.mark.slow),
        pytest.param("histogram", "test", marks=pytest.mark.slow),
    ],
)
def test_a_held_out_user_who_is_no_volunteer_changes_nothing_but_released_values(
    form: str, held_out: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = with_private_validation("best", form=form)
    prepare(experiment, tmp_path / "prepared", cache, silent)
    user = int(getattr(Prepared(tmp_path / "prepared").split, held_out)[0])
    neighbour = without(tmp_path / "prepared", tmp_path / "neighbour", user, "held_out")
    real = Contributions.noisy_sum
    monkeypatch.setattr(
        Contributions,
        "noisy_sum",
        lambda self, *how: real(replace(self, vectors=np.zeros_like(self.vectors)), *how),
    )
    runs = [
        published(experiment, folder, tmp_path / name)
        for name, folder in (("whole", tmp_path / "prepared"), ("less", neighbour))
    ]
    files = {*FILES, "validation_ledger.json"}
    for file in files:
        assert (runs[0].public / file).read_bytes() == (runs[1].public / file).read_bytes(), file
    assert {path.name for path in runs[0].public.iterdir()} == files
    exact = [(run.rounds()[-1]["exact"], run.summary()["metrics"]["test"]) for run in runs]
    assert (exact[0][0] == exact[1][0]) == (held_out == "test")
    assert (exact[0][1] == exact[1][1]) == (held_out == "validation")


def test_what_private_validation_users_are_told_of_is_released_priced_and_apart_from_what_is_exact(
    tmp_path: Path, cache: Path
) -> None:
    experiment = with_private_validation("best")
    prepare(experiment, tmp_path / "prepared", cache, silent)
    run = published(experiment, tmp_path / "prepared", tmp_path / "run")
    lines = [json.loads(line) for line in (run.public / METRICS).read_text().splitlines()]
    private = run.rounds()
    assert not any("exact" in line for line in lines)
    # the released change decides, against 0 for the base
    moved = [line["loss"] - lines[0]["loss"] for line in lines]
    summary, public = run.summary(), json.loads((run.public / "summary.json").read_text())
    assert summary["chosen_round"] == int(np.argmin(moved))
    # within five of its deviations
    for line, whole in zip(lines, private, strict=True):
        assert abs(line["loss"] - whole["exact"]["loss"]) < 5 * line["noise"]["loss"]
    assert set(lines[2]["validation"]["last20"]) == {"users", "ndcg@10"}
    assert "validation" not in lines[1]
    assert public["metrics"].keys() == {"validation"}
    assert {"intervals", "groups", "controls", "exact"}.isdisjoint(public)
    told = public["privacy"]["validation"]
    # base 2, rounds 1 to 3 one each, rounds 2 and 3 one more, gains and metrics of the result
    assert told["releases_per_unit"] == told["releases_planned"] == 2 + 3 + 2 + 2
    assert 1.99 < told["epsilon"] <= 2.0
    assert public["privacy"]["epsilon"] > 7.9, "training users pay for the training alone"
    assert explain(run).facts["validation"] == summary["privacy"]["validation"]
    page = (run.public / "report.html").read_text()
    assert "94 validation users are no volunteers" in page
    assert "not published" in page


def test_pretraining_looks_at_no_private_validation_user(ml100k: Dataset) -> None:
    experiment = with_private_validation("best").model_copy(
        update={"model": tiny().model.model_copy(update={"base_epochs": 2})}
    )
    vectors = torch.from_numpy(np.eye(ml100k.interactions.num_items, 4, dtype=np.float32))
    split = split_users(ml100k.interactions, experiment.split, 0)
    other = replace(split, held_out=emptied(split.held_out, int(split.validation[0])))
    inputs = ModelInputs(len(vectors), item_vectors=vectors)
    alone = Platforms.of({"data": ml100k})
    bases = [pretrained_base(inputs, experiment, found, alone, silent) for found in (split, other)]
    assert all(torch.equal(bases[0][name], bases[1][name]) for name in bases[0])
