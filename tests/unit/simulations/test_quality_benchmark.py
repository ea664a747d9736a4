"""The quality benchmark's tables, from hand-made runs; and that a run is made once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fedrec.experiment.config import canonical_json
from fedrec.reporting.judged import Judged
from simulations.benchmarks import quality
from simulations.benchmarks.quality import COLUMNS, Trained, collect, tables
from tests.tiny import tiny

APART = np.array([-0.02, 0.0, 0.02])


def trained(split: int, **means: float) -> Trained:
    users = np.arange(3 * split, 3 * split + 3)
    metrics = {metric for _, metric in COLUMNS}
    values = {
        name: {target: (users, dict.fromkeys(metrics, mean + APART)) for target in ("last", "last20")}
        for name, mean in means.items()
    }
    return Trained(str(split), split, f"sha {split}", Judged(values, {}))


def test_a_score_is_over_splits_and_a_difference_is_paired() -> None:
    found = collect([trained(0, federated=0.3, ease=0.2), trained(1, federated=0.4, ease=0.32)])
    score, gap = found["scores"]["ease"]["last ndcg@10"], found["differences"]["ease"]["last ndcg@10"]
    assert (score["mean"], score["users"]) == (pytest.approx(0.26), 6)
    # .1 for each user of one split and .08 of the other: the users are alike, the splits have the variance .0002
    assert (gap["mean"], gap["standard_error"]) == (pytest.approx(0.09), pytest.approx(0.01))
    assert gap["p_holm"] == pytest.approx(4 * gap["p_value"]), "four columns are four comparisons"
    assert (found["splits"], found["seeds"], found["parameters_sha256"]) == (2, 2, ["sha 0", "sha 1"])


def test_the_tables_say_what_they_can_show() -> None:
    text = tables("mine", collect([trained(0, federated=0.3, ease=0.2), trained(1, federated=0.4, ease=0.32)]))
    scores, differences, shown = text.split("\n\n")
    assert scores.startswith("| mine | last ndcg@10 |")
    assert "| federated | 0.350 [0.000, " in scores, "no bound below 0"
    assert "| ease | 0.090 [" in differences
    assert "one at a time): " in shown
    alone = tables("mine", collect([trained(0, federated=0.3)]))
    assert "less" not in alone, "nothing to compare with"


def test_a_run_that_is_there_is_not_made_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = tiny(rounds=1, privacy={"epsilon": float("inf")}, evaluation={"controls": ("popularity",)})
    asked: list[list[str]] = []

    def load(scenario: str, settings: list[str], scenarios: Path) -> Any:
        asked.append(settings)
        return experiment

    monkeypatch.setattr(quality, "load_experiment", load)
    monkeypatch.setattr(quality, "RunOptions", lambda **options: replace(real(**options), cache=cache))
    monkeypatch.setattr(quality, "JOBS", {"tiny": "made for this"})
    app = quality.typer.Typer()
    app.command()(quality.main)
    results = []
    for _ in range(2):
        made = CliRunner().invoke(app, ["--out", str(tmp_path), "--splits", "1"])
        assert made.exit_code == 0, made.output
        summary = tmp_path / "tiny-0-0" / "private" / "summary.json"
        results.append((summary.stat().st_mtime_ns, json.loads((tmp_path / "quality.json").read_text())))
    assert results[0] == results[1]
    assert asked[0] == ["split_seed=0", "seed=0"]
    assert results[0][1]["tiny"]["scores"]["popularity"]["last20 ndcg@10"]["users"] == 189
    canonical_json(results[0][1])


real = quality.RunOptions
