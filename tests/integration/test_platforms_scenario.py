"""The scenario `platforms` needs data and a configuration alone: films and groceries in one run, on real data."""

from pathlib import Path

from fedrec.core.progress import silent
from fedrec.experiment.file import load_experiment
from simulations.options import RunOptions
from simulations.plugins import SCENARIOS, registries_of
from simulations.runner import run

QUICK = ["rounds=1", "text.layers=1", "model.base_epochs=1", 'evaluation.controls=["random", "popularity"]']
"""What takes minutes is done once, or left out; all else is the scenario's."""


def test_films_and_groceries_train_one_adapter(tmp_path: Path, cache: Path) -> None:
    experiment = load_experiment("platforms", QUICK, SCENARIOS, registries_of())
    finished = run(experiment, RunOptions(engine="inprocess", out=tmp_path / "run", cache=cache), silent)
    summary = finished.summary()
    told = summary["dataset"]["platforms"]
    assert dict(zip(told["names"], told["items"], strict=True)) == {"grocery": 2378, "video": 1682}
    assert summary["federation"]["clients"] == 10 + 10
    # MovieLens alone has 943 users, 20 % of whom are 189 test users: the same as in a run of its own
    sizes = summary["groups"]["last20"]["groups"]["platform"]["sizes"]
    assert sizes == {"grocery": round(0.2 * 2460), "video": 189}
    macro = {
        name: found["test"]["last20"]["macro_ndcg@10"]
        for name, found in {"federated": {"test": summary["metrics"]["test"]}, **summary["controls"]}.items()
    }
    assert macro["random"] < 0.03 < macro["federated"]
    assert macro["random"] < macro["popularity"]
