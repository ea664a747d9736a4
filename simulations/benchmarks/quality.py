"""What the main job is worth: MovieLens-100K, several seeds on one split, privacy off and on, beside the controls.

`python -m simulations.benchmarks.quality --out DIR` runs what is missing in DIR and goes on with what was
interrupted, so it can be stopped at any time. It prints the tables of `docs/quality.md` and writes `quality.json`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrec.core.files import write_whole
from fedrec.core.progress import Progress
from fedrec.evaluation.significance import seeds_interval
from fedrec.experiment.file import load_experiment
from simulations.cli.progress import RichProgress
from simulations.options import RunOptions
from simulations.runner import resume, run

SCENARIOS = Path(__file__).parents[1] / "scenarios"
JOBS = {"movielens-open": "privacy off", "movielens": "as configured, private"}
COLUMNS = (("last", "ndcg@10"), ("last", "hit_rate@10"), ("last20", "ndcg@10"), ("last20", "recall@20"))


def main(
    out: Annotated[Path, typer.Option(help="Folder of the runs and of quality.json.")],
    seeds: Annotated[int, typer.Option(help="Seeds 0 to N - 1, all on the split of split_seed 0.", min=1)] = 3,
    job: Annotated[
        list[str] | None, typer.Option(help="Scenarios to run; all of this benchmark's if not given.")
    ] = None,
) -> None:
    """Run the seeds of each scenario and print one table a scenario."""
    results: dict[str, Any] = {}
    for scenario in job or JOBS:
        summaries = []
        for seed in range(seeds):
            with RichProgress() as progress:
                summaries.append(_summary(scenario, seed, out / f"{scenario}-{seed}", progress))
        results[scenario] = collect(summaries)
        print(table(scenario, results[scenario]))
    write_whole(out / "quality.json", json.dumps(results, indent=1) + "\n")


def collect(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return model -> "target metric" -> mean and 95 % interval over the seeds, the federated model first."""
    models = {"federated": [summary["metrics"] for summary in summaries]}
    for name in summaries[0]["controls"]:
        models[name] = [summary["controls"][name] for summary in summaries]
    return {
        name: {f"{target} {metric}": _over_seeds(found, target, metric) for target, metric in COLUMNS}
        for name, found in models.items()
    } | {"parameters_sha256": [summary["parameters_sha256"] for summary in summaries]}


def table(title: str, results: dict[str, Any]) -> str:
    """Return a Markdown table of one scenario's results."""
    names = [f"{target} {metric}" for target, metric in COLUMNS]
    rows = [f"| {title} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for model, found in results.items():
        if model != "parameters_sha256":
            rows.append(f"| {model} | " + " | ".join(_cell(found[name]) for name in names) + " |")
    return "\n".join(rows)


def _summary(scenario: str, seed: int, folder: Path, progress: Progress) -> dict[str, Any]:
    experiment = load_experiment(scenario, [f"seed={seed}"], SCENARIOS)
    options = RunOptions(out=folder, name=scenario)
    if (folder / "experiment.toml").exists():
        return resume(folder, options, progress, experiment).summary()
    return run(experiment, options, progress).summary()


def _over_seeds(found: list[dict[str, Any]], target: str, metric: str) -> dict[str, float]:
    interval = seeds_interval([result["test"][target][metric] for result in found])
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _cell(found: dict[str, float]) -> str:
    return f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


if __name__ == "__main__":
    typer.run(main)
