"""What the main job is worth: MovieLens-100K, several user splits, privacy off and on, beside the controls.

`python -m simulations.benchmarks.quality --out DIR` runs what is missing in DIR and goes on with what was
interrupted, so it can be stopped at any time. It prints the tables of `docs/quality.md` and writes `quality.json`.

Each split has seeds of its own, so that what a seed does is averaged over splits, too, and one seed a split is enough
for an interval (see `fedrec.evaluation.statistics.replicates`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.progress import Progress
from fedrec.evaluation.statistics.replicates import Scored, compare_all, estimate
from fedrec.experiment.config import canonical_json
from fedrec.experiment.file import load_experiment
from fedrec.metrics.accuracy import range_of
from fedrec.reporting.judged import FEDERATED, Judged, read_judged, split_name
from fedrec.reporting.wording import SHOWN_DIFFERENCES, least_text, listed, p_text
from simulations.cli.terminal.progress import RichProgress
from simulations.options import RunOptions
from simulations.runner import resume, run

SCENARIOS = Path(__file__).parents[1] / "scenarios"
JOBS = {"movielens-open": "privacy off", "movielens": "as configured, private"}
COLUMNS = (("last", "ndcg@10"), ("last", "hit_rate@10"), ("last20", "ndcg@10"), ("last20", "recall@20"))


@dataclass(frozen=True)
class Trained:
    """One run of a scenario: which split and seed, which adapter came of it, and what its test users got."""

    split: str
    seed: int
    parameters_sha256: str
    judged: Judged


def main(
    out: Annotated[Path, typer.Option(help="Folder of the runs and of quality.json.")],
    splits: Annotated[int, typer.Option(help="User splits: split_seed 0 to N - 1.", min=1)] = 5,
    seeds: Annotated[int, typer.Option(help="Seeds of each split; no two splits share one.", min=1)] = 1,
    job: Annotated[
        list[str] | None, typer.Option(help="Scenarios to run; all of this benchmark's if not given.")
    ] = None,
) -> None:
    """Run the splits and seeds of each scenario and print two tables a scenario: scores, and differences."""
    results: dict[str, Any] = {}
    for scenario in job or JOBS:
        trained = []
        for split in range(splits):
            for seed in range(split * seeds, (split + 1) * seeds):
                with RichProgress() as progress:
                    trained.append(_trained(scenario, split, seed, out / f"{scenario}-{split}-{seed}", progress))
        results[scenario] = collect(trained)
        print(tables(scenario, results[scenario]))
    write_whole(out / "quality.json", json.dumps(json.loads(canonical_json(results)), indent=1) + "\n")


def collect(trained: Sequence[Trained]) -> dict[str, Any]:
    """Return what each model got and what the federated one, the first, differs by from the others.

    Keys: `scores`, model -> "target metric" -> estimate; `differences`, the federated model less each other likewise,
    Holm-corrected over all of them; `splits`, `seeds` and `parameters_sha256`.
    """
    found = {name: {column: _scored(trained, name, *column) for column in COLUMNS} for name in _models(trained)}
    asked = [(name, column) for name in found if name != FEDERATED for column in COLUMNS]
    pairs = [(found[FEDERATED][column], found[name][column]) for name, column in asked]
    differences: dict[str, Any] = {}
    for (name, column), difference in zip(asked, compare_all(pairs, (0.0, 1.0)), strict=True):
        differences.setdefault(name, {})[_title(column)] = difference.to_json()
    return {
        "scores": {
            name: {_title(column): estimate(of[column], range_of(column[1])).to_json() for column in COLUMNS}
            for name, of in found.items()
        },
        "differences": differences,
        "splits": len({one.split for one in trained}),
        "seeds": len({one.seed for one in trained}),
        "parameters_sha256": [one.parameters_sha256 for one in trained],
    }


def tables(title: str, results: Mapping[str, Any]) -> str:
    """Return two Markdown tables: of one scenario's scores, and of the federated model's differences to the others.

    Under the second stand the true differences that its rows would show, the least to the most of its rows.
    """
    names = [_title(column) for column in COLUMNS]
    scores = [[model, *(_cell(found[name]) for name in names)] for model, found in results["scores"].items()]
    compared = [[model, *(_cell(found[name]) for name in names)] for model, found in results["differences"].items()]
    shown = [least_text(of[name]["minimal_difference"] for of in results["differences"].values()) for name in names]
    told = f"{SHOWN_DIFFERENCES}: {listed([f'{least} ({name})' for name, least in zip(names, shown, strict=True)])}."
    return "\n\n".join(
        (
            _table([title, *names], scores),
            *((_table([f"{FEDERATED} less", *names], compared), told) if compared else ()),
        )
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _trained(scenario: str, split: int, seed: int, folder: Path, progress: Progress) -> Trained:
    experiment = load_experiment(scenario, [f"split_seed={split}", f"seed={seed}"], SCENARIOS)
    options = RunOptions(out=folder, name=scenario)
    there = (folder / "experiment.toml").exists()
    found = resume(folder, options, progress, experiment) if there else run(experiment, options, progress)
    summary = found.summary()
    judged = read_judged(found, summary["controls"])
    if judged is None:
        message = f"{folder} was made by a version that kept no test user's values; remove it, or choose another --out"
        raise RunError(message)
    return Trained(split_name(experiment), seed, summary["parameters_sha256"], judged)


def _models(trained: Sequence[Trained]) -> list[str]:
    return list(dict.fromkeys(name for one in trained for name in one.judged.values))


def _scored(trained: Sequence[Trained], model: str, target: str, metric: str) -> list[Scored]:
    return [
        Scored(one.split, one.seed, *found)
        for one in trained
        if (found := one.judged.of(model, target, metric)) is not None
    ]


def _title(column: tuple[str, str]) -> str:
    return " ".join(column)


def _cell(found: Mapping[str, Any]) -> str:
    corrected = f" p {p_text(found['p_holm'])}" if "p_holm" in found else ""
    return f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]{corrected}"


if __name__ == "__main__":
    typer.run(main)
