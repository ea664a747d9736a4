"""The command line. Commands are thin: they read what was asked, call, and show.

Imports of weight happen inside commands, so that `--help` is there at once. How a command ends is the matter
of `simulations.exits`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrec.errors import ConfigError
from simulations import cli_data
from simulations.cli_options import EngineOption, Json, Quiet, Settings
from simulations.exits import Commands, naming

Result = dict[str, Any]

MANUAL = """Federated recommendation, simulated under differential privacy.

A server coordinates many simulated clients. Each fine-tunes a small adapter of a text-based recommender on its own
interactions; the server aggregates; the global recommender ranks the whole catalogue for users it has never seen, and
is put beside popularity, EASE, central training and others.

\b
Start here:
  fedrec run                              the main job: MovieLens-100K, real text, real privacy
  fedrec run smoke                        the same data and code, in under a minute
  fedrec run --set privacy.epsilon=8 --set seed=1
  fedrec run my-experiment.toml --engine flower --out runs/mine
  fedrec resume runs/mine                 goes on after an interruption, to the same bits
  fedrec data describe movielens-100k
  fedrec list strategies

\b
Exit codes: 0 done, 2 your mistake (one message says what to change),
1 a failure of fedrec or its surroundings, 130 interrupted.

\b
Environment: FEDREC_CACHE is the folder of downloads and item vectors,
FEDREC_OFFLINE=1 forbids the network.
"""

app = typer.Typer(cls=Commands, help=MANUAL, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.add_typer(cli_data.app, name="data")


class Kind(StrEnum):
    """What `fedrec list` knows."""

    STRATEGIES = "strategies"
    MODELS = "models"
    ADAPTERS = "adapters"
    DATASETS = "datasets"
    PARTITIONS = "partitions"
    SCENARIOS = "scenarios"


@app.command()
def run(  # noqa: PLR0913 - one argument each
    source: Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)] = "movielens",
    settings: Settings = [],  # noqa: B006 - typer copies it
    engine: EngineOption = "inprocess",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="New directory of the run.")] = None,
    *,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    r"""Run an experiment: prepare, train in rounds, evaluate, report.

    SCENARIO_OR_FILE is a scenario (see `fedrec list scenarios`; "movielens" if not given) or a TOML file. A file has
    the sections of the experiment and may start from another one: extends = "movielens".

    The run becomes a directory with everything that determined it, a line of metrics for each round, the trained
    adapter, the privacy ledger, summary.json and report.html. Ctrl-C finishes the round in hand and saves.

    \b
    Examples:
      fedrec run
      fedrec run smoke --json
      fedrec run --set rounds=50 --set strategy.name=fedadam --set strategy.options.server_lr=0.1
      fedrec run --set privacy.epsilon=inf --set 'adapter.targets=["query", "value"]'
      fedrec run my-experiment.toml --engine flower --out runs/mine
    """
    from fedrec.experiment_file import load_experiment
    from simulations.console import RichProgress
    from simulations.options import RunOptions
    from simulations.plugins import SCENARIOS, registries_of
    from simulations.runner import run as run_experiment

    experiment = load_experiment(source, settings, SCENARIOS, registries_of())
    options = RunOptions(engine=engine, out=out, tensorboard=tensorboard, name=Path(source).stem)
    with naming(out or Path("runs")), RichProgress(quiet=quiet) as progress:
        finished = run_experiment(experiment, options, progress)
    return _finished(finished.path, finished.summary(), json=json)


@app.command()
def resume(  # noqa: PLR0913 - one argument each
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    settings: Settings = [],  # noqa: B006 - typer copies it
    engine: EngineOption = "inprocess",
    *,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    r"""Go on with an interrupted run, to the same bits.

    RUN is the directory of the run; it ends as if it had never stopped, and a finished one is shown again. The engine may be another. The experiment may not: settings that change it are refused, and named.

    \b
    Examples:
      fedrec resume runs/mine
      fedrec resume runs/mine --engine flower
    """
    from fedrec.experiment_file import load_experiment
    from fedrec.reporting.rundir import RunDirectory
    from simulations.console import RichProgress
    from simulations.options import RunOptions
    from simulations.runner import resume as resume_run

    started = RunDirectory(run)
    asked = load_experiment(started.path / "experiment.toml", settings)
    options = RunOptions(engine=engine, out=started.path, tensorboard=tensorboard, name=started.name)
    with naming(run), RichProgress(quiet=quiet) as progress:
        finished = resume_run(started.path, options, progress, asked)
    return _finished(finished.path, finished.summary(), json=json)


@app.command(name="list")
def list_names(
    kind: Annotated[Kind, typer.Argument(hidden=True)],
    *,
    json: Json = False,
) -> Result:
    r"""List strategies, models, data sets and other names.

    They are what an experiment can name, plug-ins of other packages included.

    \b
    Examples:
      fedrec list strategies
      fedrec list scenarios --json
    """
    from simulations.plugins import described
    from simulations.show import show_table

    entries = described(kind.value)
    if not json:
        show_table("", [kind.value, ""], entries.items())
    return {kind.value: entries}


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    r"""Check experiment files: ok, or all mistakes at once.

    FILE is a TOML file or the name of a scenario. Names of plug-ins and combinations that would make the privacy
    statement false are checked too; the data is not loaded.

    \b
    Examples:
      fedrec validate my-experiment.toml
      fedrec validate experiments/*.toml
    """
    from fedrec.experiment_file import load_experiment
    from fedrec.privacy.plan import check
    from simulations.plugins import SCENARIOS, registries_of

    registries = registries_of()
    strategies = registries["strategy.name"]
    fingerprints: dict[str, str] = {}
    wrong: list[str] = []
    for file in files:
        try:
            experiment = load_experiment(file, [], SCENARIOS, registries)
            check(experiment, linear_strategy=getattr(strategies.get(experiment.strategy.name), "linear", False))
            fingerprints[file] = experiment.fingerprint
        except ConfigError as error:
            wrong.append(f"{file}: {error}" if len(files) > 1 else str(error))
        else:
            if not json:
                typer.echo(f"{file}: ok")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return {"fingerprints": fingerprints}


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    """Write a finished run's report.html anew, and print its path.

    RUN is the directory of the run.
    """
    from fedrec.reporting.report import render_report

    with naming(run):
        path = render_report(run)
    if not json:
        typer.echo(path)
    return {"report": str(path)}


@app.command()
def version(*, json: Json = False) -> Result:
    """Print the version of fedrec."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        number = installed("fedrec")
    except PackageNotFoundError:
        number = "not installed: run from a checkout"
    if not json:
        typer.echo(f"fedrec {number}")
    return {"version": number}


def _finished(path: Path, summary: Result, *, json: bool) -> Result:
    from simulations.show import show_summary

    if not json:
        show_summary(summary, path)
    return {**summary, "run": str(path), "report": str(path / "report.html")}
