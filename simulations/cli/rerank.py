"""`fedrec rerank`: what better lists cost in accuracy. Imports of weight happen inside, see `simulations.cli.app`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.errors import naming

if TYPE_CHECKING:
    from fedrec.core.progress import Progress
    from fedrec.evaluation.reranking.price import Asked

Result = dict[str, Any]


def rerank(  # noqa: PLR0913, PLR0917 - one argument each
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="mmr (diversity of item vectors) or calibrated (kinds of items).")
    ] = "mmr",
    weight: Annotated[
        str, typer.Option(metavar="W,W,...", help="Trade-offs to try: 0 is the list as it is, 1 forgets relevance.")
    ] = "0,0.1,0.3,0.5,0.7,0.9",
    loss: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="The most of NDCG that may be given away for it.")
    ] = 0.05,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many of a user's best items a list is chosen from.")
    ] = 100,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False, help="Also write the JSON object there.")
    ] = None,
    *,
    test: Annotated[
        bool, typer.Option(help="Ask the test users about the picked weight, once a run and method.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Re-rank the lists of a finished run, and tell the price in NDCG.

    RUN is the directory of the run. Lists are chosen greedily from each user's best items: mmr (Carbonell and
    Goldstein 1998) avoids items that resemble the list, calibrated (Steck 2018) keeps to the kinds of items of the
    user's history (evaluation.kinds). Validation users see every weight and pick the one that improves lists most for
    at most --loss of NDCG. Test users see that one: the answer is kept in the run, and asking them again with other
    settings is refused. Where held-out users are private give one weight; what is found is private, too.

    \b
    Examples:
      fedrec rerank runs/mine
      fedrec rerank runs/mine --method calibrated --weight 0,.2,.4,.6,.8 --loss 0.02
      fedrec rerank runs/mine --no-test --json
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_facts, show_table, show_text
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from fedrec.core.files import write_whole
        from fedrec.evaluation.reranking.price import Asked
        from fedrec.experiment.config import canonical_json

        asked = Asked(method, _weights(weight), loss, candidates)
        found = _found(run, asked, progress, test=test)
        if out is not None:
            with naming(out):
                write_whole(out, canonical_json(found) + "\n")
    if not json:
        from fedrec.reporting.reranking import price_table

        for users in ("validation", "test"):
            if users in found:
                show_table(f"{users.capitalize()} users, {found['target']}", *price_table(found, found[users]))
        show_text(f"Picked: weight {found['picked']:g}. What is told of held-out users is {found['disclosure']}.")
        if out is not None:
            show_facts({"Numbers": out})
    return found


def _weights(text: str) -> tuple[float, ...]:
    from fedrec.core.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        message = f"--weight {text}: write numbers between 0 and 1 with commas between them, such as 0,0.1,0.3"
        raise ConfigError(message) from error


def _found(path: Path, asked: "Asked", progress: "Progress", *, test: bool) -> Result:
    from fedrec.evaluation.asked_once import FinishedRun, asked_once
    from fedrec.evaluation.reranking.price import Pricing

    finished = FinishedRun(path)
    run, evaluator, opened = finished.run, finished.evaluator, finished.recommender
    pricing = Pricing(asked, evaluator, opened.scorer, opened.platforms)
    headline = evaluator.task.headline

    def answer(*, tested: bool) -> Result:
        found = pricing.picked(progress)
        about = {
            **asked.to_json(),
            "improves": pricing.reranker.metric,
            "target": headline.target,
            "metric": headline.metric,
            "disclosure": finished.disclosure,
        }
        if tested:
            found["test"] = [asdict(row) for row in pricing.on_test_users(found["picked"])]
        return about | found

    if not test:
        return answer(tested=False)
    with run.locked():
        return asked_once(run, f"rerank-{asked.method}", asked.to_json(), lambda: answer(tested=True))
