"""`fedrec periods`: does a recommender last? Imports of weight happen inside, see `simulations.cli.app`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from simulations.cli.options import Json, Quiet

Result = dict[str, Any]


def periods(
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    cut: Annotated[
        str, typer.Option(metavar="DAY", show_default=False, help="Where the later period begins; split.until if not.")
    ] = "",
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Judge a finished run on its test users before a moment and from it on.

    RUN is the directory of the run. DAY is a date (UTC), such as 1998-02-01, or a number in the data's own unit of
    time. Train with split.until at the same moment, and nothing of the later period has been trained on. Data without
    times are refused. Test users are asked once: the answer is kept in the run, and another moment is refused.

    \b
    Examples:
      fedrec run movielens-open --set split.until=1998-02-01 --out runs/until
      fedrec periods runs/until
      fedrec periods runs/mine --cut 1998-02-01 --json
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_table, show_text
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        progress("note", 0, 0, f"opening {run}")
        found = _found(run, cut)
    if not json:
        from fedrec.reporting.periods import period_rows, same_users_text

        columns = ["", "users", found["metric"]]
        show_table(f"Test users around {found['cut']}, {found['target']}", columns, period_rows(found))
        show_text(f"{same_users_text(found)} What is told of test users is {found['disclosure']}.")
    return found


def _found(path: Path, cut: str) -> Result:
    from fedrec.core.errors import ConfigError
    from fedrec.data.split import seconds_of
    from fedrec.evaluation.asked_once import FinishedRun, asked_once
    from fedrec.evaluation.periods import judge_periods

    finished = FinishedRun(path)
    run = finished.run
    dataset, until = run.job.prepared.facts["dataset"], run.experiment.split.until
    if dataset["order"] != "time":
        message = (
            f"the interactions of {dataset['name']} have no times, only an order in the file: there are no periods"
        )
        raise ConfigError(message)
    moment = _moment(cut) if cut else until
    if moment is None:
        message = f"{path} was trained on all times, so nothing says where a later period begins; give --cut"
        raise ConfigError(message)
    asked = {"cut": str(moment)}

    def answer() -> Result:
        found = judge_periods(finished.evaluator, finished.recommender.scorer, seconds_of(moment))
        trained = None if until is None else str(until)
        return {**asked, "trained_until": trained, "disclosure": finished.disclosure, **found}

    with run.locked():
        return asked_once(run, "periods", asked, answer)


def _moment(text: str) -> Any:
    from datetime import date

    from fedrec.core.errors import ConfigError

    try:
        return int(text) if text.lstrip("-").isdecimal() else date.fromisoformat(text)
    except ValueError as error:
        message = f"--cut {text}: write a day, such as 1998-02-01, or a number in the data's own unit of time"
        raise ConfigError(message) from error
