"""Prequential replay in time: test, then train (Dawid 1984; Gama, Sebastiao and Rodrigues 2013).

The training interactions are cut into windows of time. In each window the model that was trained on all earlier ones is
first judged on what comes: each client's users rank what they touch in it, after all that they touched before. Then
clients train for some rounds on what has arrived. Beside the model stands the same one as it was after the first
window, frozen: what it loses from window to window is drift, and what the other is above it is what updating brings.

Each window is a run directory that goes on from the one before it, with its checkpoint and all that clients keep:

```
replay.json               what was asked
prepared/                 data, split, item vectors, base
window-01/  window-02/    after each window's rounds
lines.jsonl               a line a window from the second on
```
A killed replay goes on where it stopped, to the same bits: what is drawn is named by round, and no finished round is
trained again.
All of it looks at training users as they are, so there is no replay under privacy. With `feedback` what arrives is
simulated from the second window on (see `simulations.replay.worlds`), and every line says so.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clients.cohort import answer_cohort
from fedrec.core.checksums import seal
from fedrec.core.errors import ConfigError, RunError
from fedrec.core.files import write_whole
from fedrec.core.places import PRIVATE, PUBLIC
from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.data.columns import write_columns
from fedrec.data.interactions import Interactions
from fedrec.data.time_windows import coming_cases, rows_between, together, window_ends
from fedrec.evaluation.controls.uninformed import popularity_scorer
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.statistics.significance import bootstrap_interval, paired_test
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import METRICS, RunDirectory
from fedrec.run.preparation import ROWS, Prepared
from fedrec.tasks import open_task
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.replay.worlds import Recorded, Seen, Simulated, World
from simulations.sweep.sharing import link, prepare_once

ASKED = "replay.json"
PREPARED = "prepared"
LINES = "lines.jsonl"
CARRIED = (
    f"{PRIVATE}/checkpoints",
    f"{PRIVATE}/clients",
    f"{PRIVATE}/rule",
    f"{PRIVATE}/{METRICS}",
    f"{PUBLIC}/{METRICS}",
)
"""What a window goes on from."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Replay:
    """What is asked.

    Attributes:
        experiment: Its rounds do not count.
        windows: Windows of time, at least 2: nothing is known before the first.
        rounds: Rounds of training after each window.
        forget: Whether clients train on a window's interactions alone; by default on all that have arrived.
        feedback: Whether from the second window on a choice model answers the lists, instead of what users did.
    """

    experiment: Experiment
    windows: int
    rounds: int
    forget: bool = False
    feedback: bool = False

    def __post_init__(self) -> None:
        experiment = self.experiment
        wrong = {
            "privacy.epsilon": (experiment.privacy.on, "is for training without privacy; set it to inf"),
            "model.base": (experiment.model.base != "random", "has seen all windows; set it to random"),
            "linear.on": (experiment.linear.on, "counts pairs once, before the first round; leave it out"),
        }
        if found := [f"{key} {why}" for key, (broken, why) in wrong.items() if broken]:
            message = "a replay looks at training users as their data arrive: " + "; ".join(found)
            raise ConfigError(message)
        if self.windows < 2:
            message = f"{self.windows} windows: what comes in the first one nobody can know; ask for at least 2"
            raise ConfigError(message)


def replay(asked: Replay, out: Path, cache: Path, progress: Progress) -> list[Line]:
    """Return a line a window from the second on, and write them.

    Args:
        asked: What to replay.
        out: A new folder, or that of the same replay.
        cache: Of downloads and item vectors.
        progress: Told of the work.

    Raises:
        ConfigError: If the task ranks nothing, rows have no times, or there are too few of them.
        RunError: If the folder is of something else.
    """
    if not open_task(asked.experiment).ranks:
        message = f"a replay ranks what comes, and {asked.experiment.task.name} ranks nothing; choose another task"
        raise ConfigError(message)
    _require_free(out, asked)
    source = Prepared(prepare_once(asked.experiment, out / PREPARED, cache, progress))
    if source.facts["dataset"]["order"] != "time":
        message = f"the interactions of {source.facts['dataset']['name']} have no times: there is nothing to replay"
        raise ConfigError(message)
    rows = source.train.of_users(source.split.private)
    ends = window_ends(rows.time, asked.windows).tolist()
    write_whole(out / ASKED, _identity(asked))
    world: World = Simulated(rows, asked.experiment.seed, source) if asked.feedback else Recorded()
    lines: list[Line] = []
    frozen: RunDirectory | None = None
    updated: RunDirectory | None = None
    arrived = rows_between(rows, -np.inf, -np.inf)
    with one_thread():
        for number, (start, end) in enumerate(zip([-np.inf, *ends[:-1]], ends, strict=True), start=1):
            progress("windows", number - 1, asked.windows)
            coming = rows_between(rows, start, end)
            if frozen is not None and updated is not None:
                cases = coming_cases(source.split.private, arrived, coming)
                seen = Seen(number, cases, arrived, coming, end)
                told, coming = _judged(world, updated, frozen, seen)
                lines.append({"window": number, "start": start, "end": end, **told})
                write_whole(out / LINES, "".join(canonical_json(line) + "\n" for line in lines))
            arrived = together(arrived, coming)
            taught = coming if asked.forget else arrived
            updated = _trained(asked, out / f"window-{number:02}", source, taught, updated, progress)
            frozen = frozen or updated
        progress("windows", asked.windows, asked.windows)
    return lines


def _identity(asked: Replay) -> str:
    return canonical_json({**asdict(asked), "experiment": asked.experiment.fingerprint})


def _require_free(out: Path, asked: Replay) -> None:
    """Refuse a folder that holds something else; what a replay prepared that was refused afterwards is no obstacle."""
    file = out / ASKED
    if not file.is_file():
        if out.exists() and any(entry.name != PREPARED for entry in out.iterdir()):
            message = f"{out} exists and is not empty; choose another --out"
            raise RunError(message)
    elif file.read_text(encoding="utf-8") != _identity(asked):
        message = f"{out} holds another replay; choose another --out, or ask for what {file} says"
        raise RunError(message)


def _trained(  # noqa: PLR0913, PLR0917 - what a window is made of
    asked: Replay, place: Path, source: Prepared, arrived: Interactions, before: RunDirectory | None, progress: Progress
) -> RunDirectory:
    """Return the run of a window with all its rounds, which it goes on with where it was interrupted."""
    rounds = asked.rounds + (before.experiment.rounds if before else 0)
    if not place.is_dir():
        _begin(place, asked.experiment.model_copy(update={"rounds": rounds}), source, arrived, before)
    run = RunDirectory(place)
    grid = CohortGrid(len(source.federation), OneProcess(), answer_cohort)
    course = RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job))
    with run.locked():
        run_rounds(course, progress, (), StopRequest(place))
    return run


def _begin(
    place: Path, experiment: Experiment, source: Prepared, arrived: Interactions, before: RunDirectory | None
) -> None:
    """Make a window's run directory, whole or not at all."""
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    run = RunDirectory.create(part, experiment, "replay")
    prepared = run.private / PREPARED
    link(source.folder, prepared)
    counts = np.bincount(arrived.item, minlength=arrived.num_items)
    write_columns(prepared / "train", item_counts=counts, **{name: getattr(arrived, name) for name in ROWS})
    seal(prepared)
    if before is not None:
        _carry(before.path, part)
    part.rename(place)


def _carry(before: Path, into: Path) -> None:
    for name in CARRIED:
        old, new = before / name, into / name
        if old.is_dir():
            shutil.copytree(old, new)
        elif old.is_file():
            new.parent.mkdir(exist_ok=True)
            shutil.copyfile(old, new)


def _judged(world: World, updated: RunDirectory, frozen: RunDirectory, seen: Seen) -> tuple[Line, Interactions]:
    """Return how a window's users are served by what was trained before it, and what arrives in it."""
    line: Line = {
        "feedback": world.name,
        "interactions": len(seen.coming),
        "users": len(seen.cases.users),
        "newcomers": seen.cases.excluded,
    }
    evaluator = Evaluator(updated.job)
    line["metric"] = world.metric(evaluator)
    if not len(seen.cases.users):
        return line, seen.coming
    popular, still, (current, coming) = (
        world.served(evaluator, popularity_scorer(seen.before), seen)[0],
        world.served(evaluator, evaluator.scorer(_last(frozen).parameters), seen)[0],
        world.served(evaluator, evaluator.scorer(_last(updated).parameters), seen),
    )
    served = {"updated": current, "frozen": still, "popularity": popular}
    told = {
        **line,
        **{name: asdict(bootstrap_interval(of)) for name, of in served.items()},
        "difference": asdict(bootstrap_interval(current - still)),
        "p_value": paired_test(current, still),
    }
    return told, coming


def _last(run: RunDirectory) -> Checkpoint:
    found = run.latest_checkpoint()
    if found is None:
        message = f"{run.path} has no checkpoint any more; start the replay anew"
        raise RunError(message)
    return found
