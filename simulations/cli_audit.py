"""`fedrec audit`: does a run keep what it claims? Imports of weight happen inside, see `simulations.cli`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from simulations.cli_options import Json, Quiet, Settings

Result = dict[str, Any]


class Access(StrEnum):
    """What the adversary sees."""

    WHITE_BOX = "white-box"
    BLACK_BOX = "black-box"


def audit(  # noqa: PLR0913 - one argument each
    source: Annotated[str, typer.Argument(metavar="[SCENARIO_OR_FILE]", hidden=True)] = "movielens",
    settings: Settings = [],  # noqa: B006 - typer copies it
    canaries: Annotated[
        int, typer.Option(min=1, metavar="M", help="Made-up users, each in the data by a fair coin.")
    ] = 100,
    access: Annotated[
        Access, typer.Option(help="What the adversary sees: all that the trust model shows it, or the final model.")
    ] = Access.WHITE_BOX,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Put canary users into an experiment, run it once, and try to tell who was in.

    SCENARIO_OR_FILE is what `fedrec run` takes. The result is two lower bounds on epsilon at 95 % confidence, each with
    the most that so many canaries could prove: one for any mechanism (Steinke, Nasr and Jagielski 2023), one for
    Gaussian trade-off curves (Mahloujifar, Melis and Chaudhuri 2024). Beside them stands what was measured: what
    single canaries add to a sum, in clip norms, and the noise of each group of parameters, of item counts and of
    clipping bits.
    Guesses that refute the claim, a contribution longer than the clip norm, noise that is not as claimed, or a round
    that nobody paid for end in an error.

    The adversary's view is each client's update under local trust, and each round's noised sum under secure aggregation
    and central trust. The model has learnt canaries and is thrown away.

    \b
    Examples:
      fedrec audit smoke
      fedrec audit my-experiment.toml --canaries 500 --json
      fedrec audit smoke --set privacy.epsilon=inf --access black-box
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.console import RichProgress
    from simulations.show import show_text

    with RichProgress(quiet=quiet) as progress:
        from fedrec.experiment_file import load_experiment
        from fedrec.places import default_cache
        from simulations.audit import Audit
        from simulations.audit import audit as run_audit
        from simulations.plugins import SCENARIOS, registries_of

        experiment = load_experiment(source, settings, SCENARIOS, registries_of())
        asked = Audit(canaries, "black-box" if access is Access.BLACK_BOX else "white-box")
        verdict = run_audit(experiment, asked, default_cache(), progress)
    verdict.require_true()
    if not json:
        show_text(verdict.text)
    return verdict.to_json()
