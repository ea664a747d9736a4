"""`fedrec attack`: what is found out, against epsilon. Imports of weight happen inside, see `simulations.cli.app`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import Json, Quiet, Settings
from simulations.cli.terminal.errors import naming

if TYPE_CHECKING:
    from fedrec.attacks.success import Success
    from fedrec.core.progress import Progress
    from fedrec.experiment.config import Experiment
    from simulations.attacks.curve import Attack

Result = dict[str, Any]

PAGE = "attacks.html"

app = typer.Typer(
    help="Attacks on an experiment: success against epsilon.", no_args_is_help=True, rich_markup_mode=None
)

Source = Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)]
Epsilons = Annotated[
    str, typer.Option("--epsilon", metavar="E,E", help="Epsilons of the run, with commas between; inf is no privacy.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        show_default=False,
        help="Write the numbers and attacks.html there; the page shows every attack that was written to DIR.",
    ),
]


@app.callback()
def group() -> None:
    """Attacks on an experiment: success against epsilon."""


@app.command()
def membership(  # noqa: PLR0913 - one argument each
    source: Source = "movielens",
    epsilon: Epsilons = "1,8,inf",
    models: Annotated[
        int, typer.Option(metavar="N", help="Runs for each epsilon, an even number; each user is in half of them.")
    ] = 8,
    settings: Settings = [],  # noqa: B006 - typer copies it
    *,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Was this user trained on? LiRA on the final models.

    SCENARIO_OR_FILE is what `fedrec run` takes. Every epsilon takes --models whole runs. Shown are the area under the
    ROC curve and the share of members found when 1 % of the others are accused wrongly, beside the most that the spent
    epsilon and delta allow any attack (the ceiling).

    \b
    Examples:
      fedrec attack membership smoke
      fedrec attack membership --epsilon 1,2,4,8,inf --models 8 --out attacks
    """  # noqa: D301 - \b keeps the lines of the examples
    from functools import partial

    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from fedrec.attacks.membership import require_models
        from simulations.attacks.membership import ADVERSARY, membership_point

        require_models(models)
        attack = partial(membership_point, models=models)
        words = (source, epsilon, f"{ADVERSARY} There are {models} models at each epsilon.")
        _make(out)
        success = _attacked("membership", _experiment(source, settings), words, attack, progress)
    return _told(success, out, json=json)


@app.command()
def recovery(  # noqa: PLR0913 - one argument each
    source: Source = "movielens",
    epsilon: Epsilons = "1,8,inf",
    victims: Annotated[int, typer.Option(min=1, metavar="N", help="Users that are attacked.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="First rounds that the adversary observes.")] = 1,
    settings: Settings = [],  # noqa: B006 - typer copies it
    *,
    out: Out = None,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Which items has this user? Read off its update, or off the round's result, as the trust model shows it.

    SCENARIO_OR_FILE is what `fedrec run` takes; every client must be one user. Shown are the area under the ROC curve
    of the ranking of all items, and the share of the user's items among the first ten, beside those of popularity
    alone, which needs no attack. "spent" is the part of epsilon that the observed rounds cost.

    \b
    Examples:
      fedrec attack recovery --set federation.partition=users
      fedrec attack recovery my-experiment.toml --epsilon 8,64,inf --rounds 3 --out attacks
    """  # noqa: D301 - \b keeps the lines of the examples
    from functools import partial

    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from simulations.attacks.recovery import ADVERSARIES, KNOWLEDGE, Recovery, recovery_point, require_single_users

        experiment, asked = _experiment(source, settings), Recovery(victims, rounds)
        require_single_users(experiment, asked)
        observed = "the first round" if rounds == 1 else f"the first {rounds} rounds"
        adversary = f"{ADVERSARIES[experiment.privacy.trust]} {KNOWLEDGE} It observes {observed}."
        attack = partial(recovery_point, asked=asked)
        _make(out)
        success = _attacked("recovery", experiment, (source, epsilon, adversary), attack, progress)
    return _told(success, out, json=json)


def _experiment(source: str, settings: list[str]) -> "Experiment":
    from fedrec.experiment.file import load_experiment
    from simulations.plugins import SCENARIOS, registries_of

    return load_experiment(source, settings, SCENARIOS, registries_of())


def _attacked(
    name: str, experiment: "Experiment", words: tuple[str, str, str], attack: "Attack", progress: "Progress"
) -> "Success":
    """Carry an attack out; `words` are the experiment's source, the epsilons asked for and who attacks."""
    from fedrec.attacks.success import Success
    from fedrec.core.places import default_cache
    from fedrec.experiment.file import dump_experiment
    from simulations.attacks.curve import curve, read_epsilons

    source, epsilons, adversary = words
    privacy = experiment.privacy
    adversary += (
        f" Epsilon is the whole run's, for one {privacy.unit} more or less under {privacy.trust} trust; spent is what "
        "the ledger says by the time that the adversary looks."
    )
    points = curve(experiment, read_epsilons(epsilons), attack, default_cache(), progress)
    return Success(name, Path(source).stem, experiment.fingerprint, dump_experiment(experiment), adversary, points)


def _make(out: Path | None) -> None:
    """Make the folder before the work, which can take an hour."""
    if out is not None:
        with naming(out):
            out.mkdir(parents=True, exist_ok=True)


def _told(success: "Success", out: Path | None, *, json: bool) -> Result:
    """Write and show what was found, and return it."""
    from fedrec.attacks.success import label
    from fedrec.reporting.attacks.page import measures_of, table
    from simulations.cli.terminal.output import show_facts, show_table, show_text

    result = success.to_json()
    if out is not None:
        with naming(out):
            result |= _written(success, out)
    if not json:
        show_text(success.adversary)
        for measure in measures_of(success):
            show_table(f"{label(measure)}, with 95 % intervals over users", *table(success, measure))
        if out is not None:
            show_facts({"Numbers": result["numbers"], "Page": result["page"]})
    return result


def _written(success: "Success", out: Path) -> Result:
    """Write the attack's numbers, and the page of all attacks whose numbers lie in the folder; return both places."""
    from fedrec.core.files import write_whole
    from fedrec.experiment.config import canonical_json
    from fedrec.reporting.attacks.page import TITLES, render_attacks

    places = {attack: out / f"{attack}.json" for attack in TITLES}
    write_whole(places[success.attack], canonical_json(success.to_json()))
    found = [_read(place) for place in places.values() if place.is_file()]
    write_whole(out / PAGE, render_attacks(found))
    return {"numbers": str(places[success.attack]), "page": str(out / PAGE)}


def _read(place: Path) -> "Success":
    import json

    from fedrec.attacks.success import Success
    from fedrec.core.errors import RunError

    try:
        return Success.from_json(json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{place} is not what fedrec attack writes ({type(error).__name__}); move it away, or choose another --out"
        )
        raise RunError(message) from error
