"""What secret cohorts are worth: the noise that each kind of sampling needs at equal epsilon.

`python -m simulations.benchmarks.sampling` prints a table, with `--json` the same numbers; it takes some seconds. No
model is trained: the accountant tells it all. All ask as many users a round on average, so the noise on a round's mean
goes with the noise multiplier. Fixed cohorts are not secret: whoever the draw asks most often decides.
"""

import json as formats
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import typer

from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment, FederationConfig, Sampling
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run.cohorts import DRAWS, Population
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

RATES = (0.05, 0.1, 0.25)
EPSILON = 8.0
USERS = 561
"""Private training users of `movielens-central`, a client each; delta is a run's default for so many."""
ROUNDS = 30
SEED = 0
COLUMNS = ("rate", "sampling", "noise", "of fixed", "releases", "size")
LEGEND = (
    "noise: deviation of the noise on a round's sum, in clip norms. releases: how many count for one user, sums or "
    "epochs. size: whether a cohort's size is public. Trust is central, cohorts but the fixed ones secret."
)


@dataclass(frozen=True)
class Row:
    """A kind of sampling at the epsilon asked for; `of_fixed` is its noise over that of fixed cohorts."""

    rate: float
    sampling: Sampling
    noise_multiplier: float
    of_fixed: float
    releases: int
    size_is_public: bool


def context(progress: Progress) -> list[Row]:
    """Return a row for each rate and kind of sampling.

    Raises:
        PrivacyError: If no noise meets epsilon.
    """
    settings, rows, fixed = list(product(RATES, DRAWS)), list[Row](), 0.0
    for done, (rate, sampling) in enumerate(settings):
        progress("calibrating", done, len(settings))
        federation = FederationConfig(partition="users", participation=rate, sampling=sampling)
        privacy = PrivacyConfig(trust="central", epsilon=EPSILON)
        experiment = Experiment(rounds=ROUNDS, federation=federation, privacy=privacy)
        planned = plan(experiment, UnitCounts(USERS, USERS, USERS), _most_rounds(federation))
        noise = planned.noise_multiplier
        fixed = noise if sampling == "fixed" else fixed
        rows.append(Row(rate, sampling, noise, noise / fixed, planned.count, planned.cohort_size_is_public))
    progress("calibrating", len(settings), len(settings))
    return rows


def main(*, json: Json = False, quiet: Quiet = False) -> None:
    """Compare the noise that kinds of sampling need at equal epsilon."""
    with RichProgress(quiet=quiet) as progress:
        rows = context(progress)
    if json:
        print(formats.dumps({"benchmark": "sampling", "epsilon": EPSILON, "rows": [asdict(row) for row in rows]}))
        return
    show_table(f"Noise at epsilon {EPSILON:g}, {USERS} users, {ROUNDS} rounds", COLUMNS, map(_cells, rows))
    show_text(LEGEND)


def _most_rounds(federation: FederationConfig) -> int:
    """Return how often whoever is asked most often is asked."""
    counts, people = np.zeros(USERS, dtype=np.int64), Population(federation, USERS)
    for number in range(1, ROUNDS + 1):
        counts[people.cohort(SEED, number)] += 1
    return int(counts.max())


def _cells(row: Row) -> list[str]:
    size = "public" if row.size_is_public else "secret"
    return [
        f"{row.rate:g}",
        row.sampling,
        f"{row.noise_multiplier:.3f}",
        f"{row.of_fixed:.2f}",
        str(row.releases),
        size,
    ]


if __name__ == "__main__":
    typer.run(main)
