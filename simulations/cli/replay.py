"""`fedrec replay`: training as the data arrive. Imports of weight happen inside, see `simulations.cli.app`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from simulations.cli.options import Json, Quiet, Settings
from simulations.cli.terminal.errors import naming

Result = dict[str, Any]


def replay(  # noqa: PLR0913 - one argument each
    source: Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)] = "movielens-open",
    settings: Settings = [],  # noqa: B006 - typer copies it
    windows: Annotated[int, typer.Option(metavar="T", help="Windows of time with equally many interactions.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, metavar="R", help="Rounds of training after each window.")] = 5,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the replay; goes on with one begun there.")],
    forget: Annotated[
        bool, typer.Option("--forget", help="Train on a window's interactions alone, not on all that have arrived.")
    ] = False,
    feedback: Annotated[
        bool, typer.Option("--feedback", help="Simulated: from the second window on a choice model answers the lists.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Replay training in time: each window is first predicted, then trained on.

    SCENARIO_OR_FILE is what `fedrec run` takes; privacy must be off and the base random. Users of the clients rank what
    they touch in a window, after all that they touched before, by the model of the windows before it; beside it stand
    the model as it was after the first window (the drift), and popularity so far. Data without times are refused. What
    is found is of training users as they are: for a simulation's eyes.

    With --feedback the data speak in the first window alone. Then users choose from the current model's lists by a
    multinomial logit whose tastes are EASE's on all interactions: simulated choices, no data. Served well is then who
    is likely to choose something.

    \b
    Examples:
      fedrec replay movielens-open --windows 8 --rounds 5 --out replays/open
      fedrec replay my-experiment.toml --forget --out replays/mine --json
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_facts, show_table
    from simulations.cli.terminal.progress import RichProgress

    with naming(out), RichProgress(quiet=quiet) as progress:
        from fedrec.core.places import default_cache
        from fedrec.experiment.file import load_experiment
        from simulations.plugins import SCENARIOS, registries_of
        from simulations.replay.replay import LINES, Replay
        from simulations.replay.replay import replay as replay_in_time

        experiment = load_experiment(source, settings, SCENARIOS, registries_of())
        lines = replay_in_time(Replay(experiment, windows, rounds, forget, feedback), out, default_cache(), progress)
    if not json:
        from fedrec.reporting.periods import replay_rows

        columns = ["window", "users", "new", "updated", "frozen", "popularity", "updated less frozen", "p"]
        title = "SIMULATED choices of each window's users" if feedback else "What comes in each window"
        show_table(f"{title}, {lines[0]['metric']}", columns, replay_rows(lines))
        show_facts({"Lines": out / LINES})
    return {"lines": lines, "replay": str(out)}
