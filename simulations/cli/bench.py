"""`fedrec bench`: benchmarks that anybody can run. Imports of weight happen inside, see `simulations.cli.app`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.errors import Failure

Result = dict[str, Any]

REPEATS = 5
SMALL_REPEATS = 2

app = typer.Typer(help="Benchmarks that anybody can run.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Benchmarks that anybody can run."""


@app.command()
def engines(  # noqa: PLR0913 - one argument each
    case: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="training, limit, scale, trivial or workers; may be repeated. All by default."
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, help="Repetitions of each competitor; the median counts. 5, or 2 with --small, by default."
        ),
    ] = None,
    cohort: Annotated[int, typer.Option(min=1, help="Clients of a round in the case training.")] = 64,
    competitor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these competitors take part; may be repeated.")
    ] = None,
    pfl: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="pfl-research takes part: the Python, 3.11 or newer, of an environment that has pfl[pytorch] and what "
            "fedrec's model imports: torch, numpy, safetensors, peft, pydantic, jaxtyping, scipy.",
        ),
    ] = None,
    *,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Flower's own simulation takes part.")] = True,
    small: Annotated[
        bool,
        typer.Option(
            "--small",
            help="Some 80 seconds on 2 cores: tiny sizes, one competitor of each kind. Shows that it works, no more.",
        ),
    ] = False,
    keep: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Every time is kept here as it is measured; a second start goes on.")
    ] = Path("runs") / "bench",
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Time fedrec's engines and their competitors on the same work, in turn.

    \b
    training  real training under user-level local privacy: engines, Flower's simulation, one at a time, pfl, central
    limit     vectorised training in one thread as a share of central training without privacy
    scale     1,000 of 10,000 clients a round, real training
    trivial   clients that do nothing, up to a million of them: what simulating costs
    workers   two Ray workers against one process

    Takes the better part of an hour, most of it Flower's; nothing else should run meanwhile. The same command goes on
    with an interrupted one. A competitor that fails is left out, the others are measured, and the exit code is 1.

    \b
    Examples:
      fedrec bench engines --small
      fedrec bench engines --case training --case limit
      fedrec bench engines --no-flower --json > engines.json
      fedrec bench engines --pfl ../pfl-venv/bin/python
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from simulations.benchmarks.engines.cases import Settings
        from simulations.benchmarks.engines.run import bench, failures
        from simulations.benchmarks.engines.table import show

        times = repeats or (SMALL_REPEATS if small else REPEATS)
        asked = Settings(times, cohort, small, flower, pfl and pfl.absolute(), tuple(competitor or ()))
        result = bench(case or (), asked, progress, keep)
    if not json:
        show(result)
    if failed := failures(result):
        raise Failure(1, "FedrecError", failed, result)
    return result
