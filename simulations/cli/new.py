"""`fedrec new`: a plug-in of one's own to start from. Imports of weight happen inside, see `simulations.cli.app`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from simulations.cli.options import Json


class Kind(StrEnum):
    """What `fedrec new` writes."""

    STRATEGY = "strategy"
    RULE = "rule"
    TRANSFORM = "transform"
    TASK = "task"
    MODEL = "model"
    SOURCE = "source"
    ATTACK = "attack"


def new(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", hidden=True)],
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to; made if it is not there.")] = Path(),
    json: Json = False,
) -> dict[str, Any]:
    """Write a plug-in of your own and its test, which pass as they are: then change them.

    KIND is one of strategy, rule, transform, task, model, source and attack; NAME that of its module, such as
    half_step. The test inherits the laws of its kind (`simulations.testing`) and adds an example by hand; pytest runs
    it. Nothing is overwritten.

    \b
    Examples:
      fedrec new strategy half_step
      fedrec new model mean_of_items --out mine
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.errors import naming
    from simulations.cli.terminal.output import show_facts
    from simulations.new.files import write

    with naming(out):
        written = write(kind.value, name, out)
    if not json:
        show_facts(
            {
                "Written": f"{written.file}, {written.test}",
                "Test it": f"python -m pytest {written.test}",
                "Use it": f"fedrec run smoke {written.use}",
            }
        )
    return {"file": str(written.file), "test": str(written.test), "use": written.use}
