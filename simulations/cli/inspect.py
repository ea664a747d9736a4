"""`fedrec list`, `validate`, `report` and `version`. Imports of weight happen inside, see `simulations.cli.app`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrec.core.errors import ConfigError, UserError
from simulations.cli.options import Json

Result = dict[str, Any]


class Kind(StrEnum):
    """What `fedrec list` knows."""

    STRATEGIES = "strategies"
    TASKS = "tasks"
    MODELS = "models"
    ADAPTERS = "adapters"
    TRANSFORMS = "transforms"
    DATASETS = "datasets"
    PARTITIONS = "partitions"
    SCENARIOS = "scenarios"


def list_names(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    """List strategies, tasks, models, data sets and other names.

    KIND is one of strategies, tasks, models, adapters, transforms, datasets, partitions and scenarios: what an
    experiment can name, plug-ins of other packages included.

    \b
    Examples:
      fedrec list strategies
      fedrec list scenarios --json
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_table
    from simulations.plugins import described

    entries = described(kind.value)
    if not json:
        show_table("", [kind.value, ""], entries.items())
    return {kind.value: entries}


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    """Check experiment files: ok, or all mistakes at once.

    FILE is a TOML file or the name of a scenario. Names of plug-ins and combinations that would make the privacy
    statement false are checked too, and whether the data files are there; they are not read.

    \b
    Examples:
      fedrec validate my-experiment.toml
      fedrec validate experiments/*.toml
    """  # noqa: D301 - \b keeps the lines of the examples
    from fedrec.data.load import require_files
    from fedrec.experiment.file import load_experiment
    from fedrec.privacy.checks import check
    from fedrec.run.trainable import require_trainable
    from server.base import averages
    from simulations.plugins import SCENARIOS, registries_of

    registries = registries_of()
    strategies = registries["strategy.name"]
    fingerprints: dict[str, str] = {}
    wrong: list[str] = []
    for file in files:
        try:
            experiment = load_experiment(file, [], SCENARIOS, registries)
            require_trainable(experiment)
            check(experiment, linear_strategy=averages(strategies.get(experiment.strategy.name)))
            require_files(experiment.data_sections)
            fingerprints[file] = experiment.fingerprint
        except UserError as error:
            wrong.append(f"{file}: {error}")
        else:
            if not json:
                typer.echo(f"{file}: ok")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return {"fingerprints": fingerprints}


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    """Write a finished run's two pages anew, public/report.html and private/report.html, and print the latter's path.

    RUN is the directory of the run, or of an audit, which has the private page alone.
    """
    from fedrec.reporting.attacks.audit_directory import is_audit, render_again
    from fedrec.reporting.run.report import render_report

    path = render_again(run) if is_audit(run) else render_report(run)
    if not json:
        typer.echo(path)
    return {"report": str(path)}


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        version()
        raise typer.Exit


def asked_for_version(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Answer `fedrec --version`."""


def version(*, json: Json = False) -> Result:
    """Print the version of fedrec and, in a checkout, its commit."""
    from fedrec.core.revision import revision, version_number, version_text

    if not json:
        typer.echo(f"fedrec {version_text()}")
    return {"version": version_number(), **revision()}
