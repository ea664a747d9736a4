"""`fedrec run` and `fedrec resume`.

Imports of weight happen inside, so that `--help` is there at once, and under the progress, so that it is there first.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import (
    DeviceOption,
    EngineOption,
    Json,
    Quiet,
    RayAddress,
    Settings,
    TensorBoard,
    WorkersOption,
)
from simulations.cli.terminal.errors import naming

if TYPE_CHECKING:
    from fedrec.run.directory import RunDirectory

Result = dict[str, Any]


def run(  # noqa: PLR0913 - one argument each
    source: Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)] = "movielens",
    settings: Settings = [],  # noqa: B006 - typer copies it
    engine: EngineOption = "inprocess",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="New directory of the run.")] = None,
    *,
    workers: WorkersOption = None,
    ray_address: RayAddress = None,
    device: DeviceOption = "cpu",
    tensorboard: TensorBoard = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Run an experiment: prepare, train in rounds, evaluate, report.

    SCENARIO_OR_FILE is a scenario (see `fedrec list scenarios`; "movielens" if not given) or a TOML file. A file has
    the sections of the experiment and may start from another one: extends = "movielens".

    The run becomes a directory with everything that determined it. Its public/ holds what could be published: the
    trained adapter, the privacy ledger, a line of metrics for each round, summary.json and report.html. Its private/
    holds what only a simulation sees, and the whole report. Ctrl-C finishes the round in hand and saves.

    \b
    Examples:
      fedrec run
      fedrec run smoke --json
      fedrec run --set rounds=50 --set strategy.name=fedadam --set strategy.options.server_lr=0.1
      fedrec run --set privacy.epsilon=inf --set 'adapter.targets=["query", "value"]'
      fedrec run my-experiment.toml --engine ray --workers 2 --out runs/mine
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.progress import RichProgress

    with naming(out or Path("runs")), RichProgress(quiet=quiet) as progress:
        from fedrec.experiment.file import load_experiment
        from simulations.options import RunOptions
        from simulations.plugins import SCENARIOS, registries_of
        from simulations.runner import run as run_experiment

        experiment = load_experiment(source, settings, SCENARIOS, registries_of())
        options = RunOptions(
            engine=engine,
            out=out,
            workers=workers,
            ray_address=ray_address,
            device=device,
            tensorboard=tensorboard,
            name=Path(source).stem,
        )
        finished = run_experiment(experiment, options, progress)
    return _finished(finished, json=json)


def resume(  # noqa: PLR0913 - one argument each
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    settings: Settings = [],  # noqa: B006 - typer copies it
    engine: EngineOption = "inprocess",
    *,
    workers: WorkersOption = None,
    ray_address: RayAddress = None,
    device: DeviceOption = "cpu",
    tensorboard: TensorBoard = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Go on with an interrupted run, to the same bits.

    RUN is the directory of the run; it ends as if it had never stopped, and a finished one is shown again. The engine
    may be another. The experiment may not: settings that change it are refused, and named.

    \b
    Examples:
      fedrec resume runs/mine
      fedrec resume runs/mine --engine flower
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.progress import RichProgress

    with naming(run), RichProgress(quiet=quiet) as progress:
        from fedrec.experiment.file import load_experiment
        from fedrec.run.directory import RunDirectory
        from simulations.options import RunOptions
        from simulations.runner import resume as resume_run

        started = RunDirectory(run)
        asked = load_experiment(started.path / "experiment.toml", settings)
        options = RunOptions(
            engine=engine,
            out=started.path,
            workers=workers,
            ray_address=ray_address,
            device=device,
            tensorboard=tensorboard,
            name=started.name,
        )
        finished = resume_run(started.path, options, progress, asked)
    return _finished(finished, json=json)


def _finished(run: "RunDirectory", *, json: bool) -> Result:
    from simulations.cli.terminal.output import show_summary

    summary = run.summary()
    if not json:
        show_summary(summary, run.path, run.report)
    return {**summary, "run": str(run.path), "report": str(run.report)}
