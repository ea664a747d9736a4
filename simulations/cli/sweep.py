"""`fedrec sweep`. Imports of weight happen inside, see `simulations.cli.app`."""

import math
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import DeviceOption, Json, Quiet, Settings
from simulations.cli.terminal.errors import naming

if TYPE_CHECKING:
    from fedrec.evaluation.statistics.replicates import Difference
    from fedrec.evaluation.statistics.significance import Interval
    from simulations.sweep.drawn import Published
    from simulations.sweep.run import Finished

TrialResult = dict[str, Any]

Over = Annotated[
    list[str],
    typer.Option(
        "--over",
        metavar="PATH=VALUE,VALUE",
        help="Vary one key of the experiment, such as privacy.epsilon=1,8,inf; may be repeated, for a grid.",
    ),
]

Alone = Annotated[
    list[str],
    typer.Option(
        "--alone",
        metavar="PATH=VALUE,VALUE",
        help="Change one key by itself, at each point of the grid: an ablation; may be repeated, never combined.",
    ),
]


class Law(StrEnum):
    """How a number of trials may be drawn: the names of `fedrec.privacy.accounting.trial_draw`."""

    POISSON = "poisson"
    GEOMETRIC = "geometric"
    LOGARITHMIC = "logarithmic"


def sweep(  # noqa: PLR0913 - one argument each
    source: Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)] = "movielens",
    over: Over = [],  # noqa: B006 - typer copies it
    alone: Alone = [],  # noqa: B006 - typer copies it
    settings: Settings = [],  # noqa: B006 - typer copies it
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default=False, help="Directory of the sweep; sweeps/NAME-FINGERPRINT if not given."
        ),
    ] = None,
    *,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, show_default=False, help="Trials at once; one a core."),
    ] = None,
    draw_trials: Annotated[
        float | None,
        typer.Option(
            metavar="MEAN",
            show_default=False,
            help="Draw the number of trials in secret, so many on average, each a setting picked from the grid; "
            "publish the best alone.",
        ),
    ] = None,
    law: Annotated[Law, typer.Option(help="How that number is drawn.")] = Law.LOGARITHMIC,
    device: DeviceOption = "cpu",
    json: Json = False,
    quiet: Quiet = False,
) -> TrialResult:
    """Run a grid of experiments and draw the frontier: utility against epsilon.

    SCENARIO_OR_FILE is as for `fedrec run`; a file may say what to vary, too: seed = [0, 1, 2] in a section
    [sweep.over]. Every experiment is checked before the first one runs. Each trial is a run directory of its own.

    seed and split_seed repeat a setting: scores are means over users, splits and seeds, with intervals and paired
    differences; validation users say which setting is best.

    The same command goes on with a sweep that was interrupted or killed: finished trials are not run again, begun ones
    go on from their checkpoints, failed ones are tried again. With more values in --over the sweep in --out grows.

    The trials of a grid compose. With --draw-trials only the best costs anything: it is published in public/, with the
    claim for it; the others, how many there were, and what this command shows of them, are private.

    \b
    Examples:
      fedrec sweep --over privacy.epsilon=1,2,4,8,inf --over seed=0,1,2 --out sweeps/frontier
      fedrec sweep smoke --over privacy.clip_norm=0.5,1 --over adapter.rank=1,4 --set rounds=10 --workers 2
      fedrec sweep --over split_seed=0,1,2 --alone training.steps=4 --alone adapter.freeze_a=true
      fedrec sweep smoke --over training.lr=0.03,0.1,0.3 --over privacy.clip_norm=0.3,1 --draw-trials 10
      fedrec sweep my-sweep.toml
      fedrec sweep sweeps/frontier/sweep.toml --out sweeps/frontier
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.progress import RichProgress

    with naming(out or Path("sweeps")), RichProgress(quiet=quiet) as progress:
        from fedrec.privacy.accounting.trial_draw import Draw
        from simulations.plugins import SCENARIOS, registries_of
        from simulations.sweep.drawn import Published, sweep_drawn
        from simulations.sweep.grid import read_asked
        from simulations.sweep.plan import plan_sweep
        from simulations.sweep.run import Finished, SweepOptions
        from simulations.sweep.run import sweep as carry_out

        asked = read_asked(source, settings, over, SCENARIOS, alone)
        if draw_trials is not None:
            asked = replace(asked, draw=Draw(draw_trials, law.value))
        plan = plan_sweep(asked, registries_of())
        options = SweepOptions(out=out, workers=workers, device=device)
        done: Finished | Published = (
            carry_out(plan, options, progress) if plan.draw is None else sweep_drawn(plan, plan.draw, options, progress)
        )
    result = _result(done) if isinstance(done, Finished) else _published(done)
    if not json and isinstance(done, Finished):
        _show(done, result)
    if not json and isinstance(done, Published):
        _show_published(done)
    done.require_whole()
    return result


def _published(published: "Published") -> TrialResult:
    from fedrec.core.places import PRIVATE, PUBLIC

    path, best = published.directory.path, published.best
    return {
        "sweep": str(path),
        "failures": published.failures,
        "privacy": published.claim.to_json(),
        "best": None if best is None else {"fingerprint": best.fingerprint, "setting": dict(best.point)},
        "public": None if published.failures else str(path / PUBLIC),
        "private": str(path / PRIVATE),
    }


def _show_published(published: "Published") -> None:
    from fedrec.core.places import PRIVATE, PUBLIC
    from simulations.cli.terminal.output import show_facts, show_text

    path, best = published.directory.path, published.best
    if not published.failures:
        show_text(published.claim.text)
        chosen = "no trial was drawn" if best is None else best.label
        show_facts({"Best": chosen, "Published": str(path / PUBLIC), "Private": str(path / PRIVATE)})


def _result(finished: "Finished") -> TrialResult:
    from fedrec.reporting.frontier.as_json import frontier_json
    from fedrec.reporting.frontier.points import frontier
    from fedrec.reporting.reading import reading

    path = finished.directory.path
    return {
        "sweep": str(path),
        "trials": len(finished.results),
        "finished": sum(result.summary is not None for result in finished.results),
        "failures": finished.failures,
        **frontier_json(frontier(finished.results), reading(*(one.summary for one in finished.results))),
        "privacy": finished.cost.to_json(),
        "table": str(path / "trials.parquet"),
        "report": str(path / "report.html"),
    }


def _show(finished: "Finished", result: TrialResult) -> None:
    from fedrec.reporting.frontier.differences import differences, least_shown
    from fedrec.reporting.frontier.points import Measure, frontier
    from fedrec.reporting.reading import reading
    from fedrec.reporting.wording import epsilon_text, metric_label
    from simulations.cli.terminal.output import show_facts, show_table, show_text

    read = reading(*(one.summary for one in finished.results))
    curves, targets = frontier(finished.results), read.targets
    if curves:
        metric = metric_label(read.metric)
        rows = [
            [
                curve.label or "Federated",
                epsilon_text(point.epsilon),
                f"{point.splits} x {point.seeds}",
                *(_cell(point.estimate(Measure(target, read.metric)).interval) for target in targets),
            ]
            for curve in curves
            for point in curve.points
        ]
        columns = ["", "epsilon", "splits x seeds", *(f"{metric}, {words}" for words in targets.values())]
        show_table("Test users, mean and 95 % interval over users and what was repeated", columns, rows)
    if compared := differences(curves, read):
        columns = ["", "less", *(name for words in targets.values() for name in (words, "p"))]
        rows = [
            [row.name, row.against, *(text for target in targets for text in _difference(row.by_target.get(target)))]
            for row in compared
        ]
        show_table("Differences on the same users, Holm-corrected", columns, rows)
        show_text(least_shown(compared, targets))
    for paragraph in finished.cost.sentences():
        show_text(paragraph)
    show_facts({"Sweep": result["sweep"], "Table": result["table"], "Report": result["report"]})


def _cell(found: "Interval") -> str:
    from fedrec.reporting.wording import score_text

    return score_text(found.mean) + ("" if math.isnan(found.low) else f" [{found.low:.3f}, {found.high:.3f}]")


def _difference(found: "Difference | None") -> tuple[str, str]:
    from fedrec.reporting.wording import DASH, p_text

    return (DASH, DASH) if found is None else (_cell(found.found.interval), p_text(found.p_holm))
