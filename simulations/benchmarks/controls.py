"""What the controls are worth: MovieLens-100K, the data of `movielens-open`, several user splits, nothing federated.

`python -m simulations.benchmarks.controls --out DIR` prepares each split once, fits the controls on its training users,
tunes them on its validation users and scores its test users once. It prints the table of `docs/quality.md`. What is
finished in DIR is not computed again.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fedrec.core.places import default_cache
from fedrec.core.progress import silent
from fedrec.evaluation.controls import CONTROLS
from fedrec.evaluation.controls.kept import Kept, KeptControls
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.statistics.replicates import Scored, estimate
from fedrec.experiment.file import load_experiment
from fedrec.metrics.accuracy import range_of
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import is_prepared, prepare
from simulations.plugins import SCENARIOS

SCENARIO = "movielens-open"
NAMES = ("popularity", "ease", "ease_recency", "linear_next_item", "linear_sum", "item_knn", "ials")
COLUMNS = (("last", "ndcg@10"), ("last", "hit_rate@10"), ("last20", "ndcg@10"), ("last20", "recall@20"))


def main(
    out: Annotated[Path, typer.Option(help="Folder of the prepared splits and the finished controls.")],
    splits: Annotated[int, typer.Option(help="User splits: split_seed 0 to N - 1.", min=1)] = 5,
    control: Annotated[list[str] | None, typer.Option(help="Controls; all of this benchmark's if not given.")] = None,
) -> None:
    """Print a line for each control and split, then one table."""
    names = control or NAMES
    found: dict[str, list[Kept]] = {name: [] for name in names}
    for split in range(splits):
        directory = prepared_split(out / f"split-{split}", split)
        files = KeptControls(directory.private / "controls", directory.experiment.fingerprint)
        evaluator = Evaluator(directory.job)
        for name in names:
            kept = files.find(name, silent)
            if kept is None:
                began = time.process_time()
                made = CONTROLS.get(name)(directory.job, evaluator, silent)
                kept = Kept(made, time.process_time() - began)
                files.keep(name, kept)
            found[name].append(kept)
            print(f"split {split}, {name}: {kept.control.note}; {kept.seconds:.1f} s", flush=True)
    print(table(found))


def table(found: dict[str, list[Kept]]) -> str:
    """Return a Markdown table: a row a control, its mean with a 95 % interval over users and splits, and seconds."""
    head = [
        f"mean of {len(next(iter(found.values())))} splits",
        *(" ".join(column) for column in COLUMNS),
        "CPU seconds",
    ]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, kept in found.items():
        cells = [_cell(kept, target, metric) for target, metric in COLUMNS]
        seconds = sum(one.seconds for one in kept) / len(kept)
        rows.append(f"| {' | '.join([name, *cells, f'{seconds:.1f}'])} |")
    return "\n".join(rows)


def prepared_split(folder: Path, split: int) -> RunDirectory:
    """Return the run of a user split, prepared in a folder, where it may be already."""
    experiment = load_experiment(SCENARIO, [f"split_seed={split}"], SCENARIOS)
    begun = (folder / "experiment.toml").exists()
    directory = RunDirectory(folder) if begun else RunDirectory.create(folder, experiment, SCENARIO)
    if not is_prepared(directory.private / "prepared"):
        prepare(experiment, directory.private / "prepared", default_cache(), silent)
    return directory


def _cell(kept: Sequence[Kept], target: str, metric: str) -> str:
    tests = [one.control.test[target] for one in kept]
    scored = [Scored(str(split), 0, test.users, test.per_user[metric]) for split, test in enumerate(tests)]
    found = estimate(scored, range_of(metric)).interval
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    typer.run(main)
