"""`fedrec audit`: does a run keep what it claims? Imports of weight happen inside, see `simulations.cli.app`."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import Json, Quiet, Settings
from simulations.cli.terminal.errors import naming

if TYPE_CHECKING:
    from fedrec.core.progress import Progress
    from fedrec.experiment.config import Experiment
    from simulations.attacks.audit import Audit

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
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Keep the numbers and a page there.")
    ] = None,
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
    and central trust. The model has learnt canaries and is thrown away. --out keeps what was found, be it good or bad,
    in DIR/private, for only a simulation sees it; the same audit into the same DIR is shown again, not made again.

    \b
    Examples:
      fedrec audit smoke
      fedrec audit my-experiment.toml --canaries 500 --json
      fedrec audit smoke --out audits/smoke
      fedrec audit smoke --set privacy.epsilon=inf --access black-box
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_facts, show_text
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from fedrec.attacks.audit.verdict import require_true
        from fedrec.core.places import PRIVATE
        from fedrec.experiment.file import load_experiment
        from fedrec.reporting.attacks.audit_directory import PAGE
        from simulations.attacks.audit import Audit
        from simulations.plugins import SCENARIOS, registries_of

        experiment = load_experiment(source, settings, SCENARIOS, registries_of())
        asked = Audit(canaries, "black-box" if access is Access.BLACK_BOX else "white-box")
        verdict = _found(experiment, Path(source).stem, asked, out, progress)
    require_true(verdict)
    kept = {} if out is None else {"audit": str(out), "report": str(out / PRIVATE / PAGE)}
    if not json:
        show_text(verdict["statement"])
        if kept:
            show_facts({name.capitalize(): place for name, place in kept.items()})
    return {**verdict, **kept}


def _found(experiment: "Experiment", name: str, asked: "Audit", out: Path | None, progress: "Progress") -> Result:
    """Return the verdict of an audit as JSON: made now, and kept if there is a place, or kept there before."""
    from fedrec.core.places import default_cache
    from fedrec.experiment.file import dump_experiment
    from fedrec.reporting.attacks.audit_directory import claim_folder, write_audit
    from simulations.attacks.audit import audit as run_audit

    told = {"name": name, "fingerprint": experiment.fingerprint, "toml": dump_experiment(experiment)}
    identity = {"experiment": told, "asked": asdict(asked)}
    with naming(out or Path("audit")):
        if out is not None and (record := claim_folder(out, identity)) is not None:
            return dict(record["verdict"])
        verdict = run_audit(experiment, asked, default_cache(), progress).to_json()
        if out is not None:
            write_audit(out, {**identity, "verdict": verdict})
    return verdict
