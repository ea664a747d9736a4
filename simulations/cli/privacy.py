"""`fedrec privacy`: what a run promises, and what noise and epsilon mean for each other."""

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrec.core.errors import ConfigError
from simulations.cli.options import Json

if TYPE_CHECKING:
    from fedrec.privacy.calibration import Calibration, Exposure

Result = dict[str, Any]

NOISES = 1e-3, 1e6
"""Least and most noise that is priced: less protects nobody, more is rounding."""

MOST_RELEASES = 300_000
"""More of them can take the accountant minutes."""

MOST_TRIALS = 10_000

app = typer.Typer(
    help="Privacy: what a run promises, and noise for an epsilon.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Adjacency(StrEnum):
    """What a neighbour has of one unit (see `privacy.adjacency`)."""

    ZERO_OUT = "zero-out"
    ADD_REMOVE = "add-remove"
    REPLACE_ONE = "replace-one"


class Draw(StrEnum):
    """How a unit is drawn (see `federation.sampling`)."""

    POISSON = "poisson"
    WITHOUT_REPLACEMENT = "without-replacement"
    BALLS_IN_BINS = "balls-in-bins"


Rate = Annotated[
    float | None,
    typer.Option("--sampling-rate", metavar="Q", help="Chance of a unit to be in a release; 1 if it always is."),
]
Rounds = Annotated[int | None, typer.Option("--rounds", metavar="N", help="Rounds that a unit takes part in.")]
Delta = Annotated[float | None, typer.Option("--delta", metavar="D", help="Chance of failure, well below 1 / units.")]
Units = Annotated[
    int | None, typer.Option("--units", metavar="N", help="How many units there are: delta must be below 1 / N.")
]
Neighbours = Annotated[
    Adjacency,
    typer.Option("--adjacency", metavar="A", help="zero-out, add-remove or replace-one.", show_default=False),
]
Sampling = Annotated[
    Draw,
    typer.Option("--sampling", metavar="K", help="poisson, without-replacement or balls-in-bins.", show_default=False),
]
Noise = Annotated[
    float | None, typer.Option("--noise-multiplier", metavar="S", help="Given the noise over the clip norm: epsilon.")
]
Epsilon = Annotated[float | None, typer.Option("--epsilon", metavar="E", help="Given epsilon: the noise multiplier.")]
Steps = Annotated[
    int, typer.Option("--steps", metavar="N", show_default=False, help="Releases in a round, 1 if not given.")
]


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", hidden=True)],
    *,
    json: Json = False,
) -> Result:
    """Say in plain words what a run promises, and to whom.

    RUN is the directory of a run, finished or not: an interrupted one is explained as of its newest checkpoint.

    \b
    Example:
      fedrec privacy explain runs/mine
    """  # noqa: D301 - \b keeps the lines of the examples
    from fedrec.reporting.explain import explain as explained
    from fedrec.run.directory import RunDirectory

    found = explained(RunDirectory(run))
    if not json:
        state = "finished" if found.facts["finished"] else "not finished"
        _show_parts(f"{run}, {state}: round {found.facts['round']} of {found.facts['rounds']}", found.parts)
    return found.facts


@app.command()
def calibrate(  # noqa: PLR0913 - one argument each
    *,
    sampling_rate: Rate = None,
    rounds: Rounds = None,
    delta: Delta = None,
    noise_multiplier: Noise = None,
    epsilon: Epsilon = None,
    steps: Steps = 1,
    units: Units = None,
    adjacency: Neighbours = Adjacency.ZERO_OUT,
    sampling: Sampling = Draw.POISSON,
    json: Json = False,
) -> Result:
    """Find the noise for an epsilon, or the reverse, running nothing.

    Give --sampling-rate, --rounds and --delta, and one of --epsilon and --noise-multiplier. With trust=central the unit
    is a user: Q is federation.participation, --sampling federation.sampling (Q is 1 if fixed), N all rounds. With
    trust=secure-aggregation Q is 1, and with trust=local Q is training.sampling_rate and --steps is training.steps; N
    counts the rounds that the unit's client takes part in. A delta at or above 1 / units would allow publishing a unit
    whole and is refused, and so is one of 0.01 or more where --units is not given.

    \b
    Examples:
      fedrec privacy calibrate --sampling-rate 0.1 --rounds 30 --delta 1e-5 --units 660 --epsilon 8
      fedrec privacy calibrate --sampling-rate 1 --rounds 20 --steps 3 --delta 1e-4 --noise-multiplier 4
    """  # noqa: D301 - \b keeps the lines of the examples
    from dataclasses import replace

    from fedrec.privacy.calibration import epsilon_of, noise_for

    exposure, given = _asked(sampling_rate, rounds, delta, steps, noise=noise_multiplier, epsilon=epsilon)
    exposure = _among(replace(exposure, draw=sampling.value), units, adjacency)
    answer = (noise_for if noise_multiplier is None else epsilon_of)(exposure, given)
    if not json:
        _show_answer(exposure, answer)
    return {**vars(answer), **vars(exposure)}


@app.command()
def tuning(  # noqa: PLR0913 - one argument each
    *,
    sampling_rate: Rate = None,
    rounds: Rounds = None,
    delta: Delta = None,
    noise_multiplier: Noise = None,
    epsilon: Epsilon = None,
    steps: Steps = 1,
    units: Units = None,
    adjacency: Neighbours = Adjacency.ZERO_OUT,
    trials_mean: Annotated[
        float, typer.Option("--trials-mean", metavar="K", show_default=False, help="Expected trials, 10 if not given.")
    ] = 10.0,
    json: Json = False,
) -> Result:
    """Say what choosing the best of several such runs costs, running nothing.

    A run is given as for `fedrec privacy calibrate`. A fixed number of trials on the same users composes, whichever of
    them is published. Less is to be paid where their number is drawn in secret, each trial has noise of its own, and
    nothing is published but the best.

    \b
    Example:
      fedrec privacy tuning --sampling-rate 1 --rounds 20 --delta 1e-4 --epsilon 2 --trials-mean 20
    """  # noqa: D301 - \b keeps the lines of the examples
    from fedrec.privacy.calibration import best_of, epsilon_of, noise_for

    if not 1 <= trials_mean <= MOST_TRIALS:
        message = f"--trials-mean = {trials_mean}: should be at least 1 and at most {MOST_TRIALS:,}"
        raise ConfigError(message)
    exposure, given = _asked(sampling_rate, rounds, delta, steps, noise=noise_multiplier, epsilon=epsilon)
    exposure = _among(exposure, units, adjacency)
    answer = (noise_for if noise_multiplier is None else epsilon_of)(exposure, given)
    prices = best_of(exposure, answer.noise_multiplier, trials_mean)
    if not json:
        _show_prices(exposure, answer, trials_mean, prices)
    return {**vars(answer), **vars(exposure), "trials_mean": trials_mean, **prices}


def _asked(  # noqa: PLR0913 - one argument each
    rate: float | None,
    rounds: int | None,
    delta: float | None,
    steps: int,
    *,
    noise: float | None,
    epsilon: float | None,
) -> tuple["Exposure", float]:
    """Return what was asked about, and the noise multiplier or epsilon that was given.

    Raises:
        ConfigError: With every mistake at once.
    """
    from fedrec.privacy.calibration import Exposure

    # What is missing is judged no further.
    exposure = Exposure(1 if rate is None else rate, 1 if rounds is None else rounds, delta or 0.5, steps)
    count, least, most = exposure.count, *NOISES
    mistakes = [
        (rate is None, "--sampling-rate is missing: the chance of a unit to be in a release, 1 if it always is"),
        (rounds is None, "--rounds is missing: the number of rounds that a unit takes part in"),
        (delta is None, "--delta is missing: the chance of failure, well below 1 / units, such as 1e-5"),
        (noise is None and epsilon is None, "give --epsilon to get the noise, or --noise-multiplier to get epsilon"),
        (noise is not None and epsilon is not None, "--noise-multiplier and --epsilon fix each other: give only one"),
        (rate is not None and not 0 < rate <= 1, f"--sampling-rate = {rate}: should be above 0 and at most 1"),
        (rounds is not None and rounds < 1, f"--rounds = {rounds}: should be at least 1"),
        (steps < 1, f"--steps = {steps}: should be at least 1"),
        (count > MOST_RELEASES, f"--rounds x --steps = {count:,}: should be at most {MOST_RELEASES:,} releases"),
        (delta is not None and not 0 < delta < 1, f"--delta = {delta}: should be above 0 and below 1, such as 1e-5"),
        (
            noise is not None and not least <= noise <= most,
            f"--noise-multiplier = {noise}: should be at least {least:g} and at most {most:,.0f}",
        ),
        (epsilon is not None and not 0 < epsilon < math.inf, f"--epsilon = {epsilon}: should be above 0 and finite"),
    ]
    if found := [reason for wrong, reason in mistakes if wrong]:
        raise ConfigError(found[0] if len(found) == 1 else "\n  ".join([f"{len(found)} mistakes:", *found]))
    return exposure, (epsilon if noise is None else noise) or 0.0


def _among(exposure: "Exposure", units: int | None, adjacency: Adjacency) -> "Exposure":
    """Return what was asked about, with who is protected and what a neighbour is.

    Raises:
        ConfigError: If delta promises nothing to so many units.
    """
    exposure = replace(exposure, units=units, adjacency=adjacency.value)
    if too_much := _too_much(exposure):
        raise ConfigError(too_much)
    return exposure


def _too_much(exposure: "Exposure") -> str:
    """Return why delta promises nothing to so many units; empty if it does."""
    from fedrec.privacy.accounting.delta import UNDECLARED, too_large

    if exposure.units is not None and exposure.units < 1:
        return f"--units = {exposure.units}: should be at least 1"
    reason = too_large(exposure.delta, exposure.units or UNDECLARED)
    if reason and exposure.units is None:
        return f"--{reason}; give --units, if there are fewer, or a smaller --delta"
    return reason and f"--{reason}; give a smaller --delta"


def _show_answer(exposure: "Exposure", answer: "Calibration") -> None:
    from fedrec.privacy.statement.statement import in_other_words, words
    from simulations.cli.terminal.output import show_table, show_text

    rate, times = exposure.sampling_rate, f"{exposure.rounds:,} rounds x {exposure.steps:,} a round"
    drawn = {
        "poisson": f"joins each by its own secret coin (Poisson sampling, rate {rate:g})",
        "without-replacement": f"is in each with chance {rate:g}, in a secret subset of public size",
        "balls-in-bins": f"is in one secret round of each, an epoch of {1 / rate:.0f}",
    }
    coin = drawn[exposure.draw] if rate < 1 else "is in each of them"
    show_text(
        f"Gaussian noise of {_rounded_up(answer.noise_multiplier)} times the clip norm gives epsilon "
        f"{words(answer.epsilon)} at delta {exposure.delta:g} ({exposure.adjacency}) to a unit, a user or a training "
        f"example, whose data may go into {exposure.count:,} releases ({times}) and {coin}. "
        + in_other_words("unit", answer.epsilon, exposure.delta)
    )
    rows = [("PLD, the claim", words(answer.epsilon)), ("RDP, a looser check", words(answer.epsilon_rdp))]
    show_table("", ["accountant", "epsilon"], rows)


def _show_prices(exposure: "Exposure", answer: "Calibration", mean: float, prices: Mapping[str, Any]) -> None:
    from fedrec.privacy.statement.statement import words
    from simulations.cli.terminal.output import show_table, show_text

    show_text(
        f"Gaussian noise of {_rounded_up(answer.noise_multiplier)} times the clip norm in {exposure.count:,} releases "
        f"a trial, at delta {exposure.delta:g} ({exposure.adjacency}). A number that is drawn stays secret, as do all "
        "trials but the best; each is a setting picked uniformly from a grid, with replacement and noise of its own "
        "(Papernot and Steinke 2022)."
    )
    rows = [("one trial", words(answer.epsilon))]
    rows += [(f"{prices['trials_fixed']} trials fixed beforehand, composed", words(prices["epsilon_composed"]))]
    rows += [
        (f"best of a {law} number, {mean:g} on average", words(of)) for law, of in prices["epsilon_of_best"].items()
    ]
    show_table("", ["published", "epsilon"], rows)


def _rounded_up(noise_multiplier: float) -> str:
    """Return a noise multiplier for people, rounded up to six digits: more noise never breaks a claim."""
    digit = 10.0 ** (math.floor(math.log10(noise_multiplier)) - 5)
    return f"{math.ceil(noise_multiplier / digit * (1 - 1e-12)) * digit:.6g}"


def _show_parts(title: str, parts: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(Text(title), soft_wrap=True)
    for name, text in parts.items():
        console.print()
        console.print(Text(name, style="bold"))
        console.print(Text(text))
