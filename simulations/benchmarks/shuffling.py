"""What a trusted shuffler is worth: the noise of local trust with one and without, at equal epsilon.

`python -m simulations.benchmarks.shuffling` prints a table, with `--json` the same numbers; it takes seconds. No model
is trained. Every user is a client and sends a message in every round; neighbours have nothing of one user. Where the
proof gains nothing the noise is the unshuffled, as in a run's plan.
"""

import json as formats
from dataclasses import asdict, dataclass
from itertools import product

import typer

from fedrec.core.progress import Progress
from fedrec.privacy.accounting import shuffling
from fedrec.privacy.accounting.delta import default_delta
from fedrec.privacy.accounting.prices import calibrate
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

ROUNDS = 20
EPSILONS = (1.0, 2.0, 8.0)
USERS = (561, 10_000, 100_000, 1_000_000)
"""Those of MovieLens-100K who are private and train, and what a deployment may have."""
COLUMNS = ("users", "epsilon", "delta", "unshuffled", "shuffled", "ratio")
LEGEND = (
    f"Noise multiplier of each user's message over {ROUNDS} rounds, at delta min(n^-1.1, 0.01 / n); on the mean of n "
    "users it is that over sqrt(n). Ratio: shuffled over unshuffled; 1 where hiding proves nothing that the noise "
    "alone does not."
)


@dataclass(frozen=True)
class Row:
    """Both noise multipliers at one setting; `shuffled` is never above `unshuffled`."""

    users: int
    epsilon: float
    delta: float
    unshuffled: float
    shuffled: float

    @property
    def ratio(self) -> float:
        """What of the noise is left."""
        return self.shuffled / self.unshuffled


def compare(users: int, epsilon: float, rounds: int = ROUNDS) -> Row:
    """Return both at the same epsilon.

    Raises:
        PrivacyError: If no noise meets epsilon.
    """
    delta = default_delta(users)
    alone = calibrate(epsilon, delta, 1.0, rounds)
    hidden = shuffling.calibrate(epsilon, shuffling.Shuffled(users, rounds, delta))
    return Row(users, epsilon, delta, alone, min(alone, hidden))


def context(progress: Progress) -> list[Row]:
    """Return a row for each setting."""
    settings = list(product(USERS, EPSILONS))
    rows = []
    for done, setting in enumerate(settings):
        progress("calibrating", done, len(settings))
        rows.append(compare(*setting))
    progress("calibrating", len(settings), len(settings))
    return rows


def main(*, json: Json = False, quiet: Quiet = False) -> None:
    """Compare the local noise that epsilon takes, with a trusted shuffler and without."""
    with RichProgress(quiet=quiet) as progress:
        rows = context(progress)
    if json:
        told = [{**asdict(row), "ratio": row.ratio} for row in rows]
        print(formats.dumps({"benchmark": "shuffling", "rounds": ROUNDS, "rows": told}))
        return
    show_table(f"Local noise over {ROUNDS} rounds", COLUMNS, map(_cells, rows))
    show_text(LEGEND)


def _cells(row: Row) -> list[str]:
    return [
        f"{row.users:,}",
        f"{row.epsilon:g}",
        f"{row.delta:.2g}",
        f"{row.unshuffled:.2f}",
        f"{row.shuffled:.2f}",
        f"{row.ratio:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
