"""What correlated noise is worth: the noise on a model, banded against independent at equal epsilon.

`python -m simulations.benchmarks.correlated` prints a table, with `--json` the same numbers; it takes about a minute.
No model is trained: the accountant and the factorisation tell it all. Both competitors ask as many clients a round.
Independent noise draws from everybody, with the full amplification by sampling; banded noise
(`fedrec.privacy.accounting.banded`) from each group in turn, with the number of bands that leaves the least noise.
"""

import json as formats
from dataclasses import asdict, dataclass
from itertools import product

import typer

from fedrec.core.progress import Progress
from fedrec.privacy.accounting.banded import best_bands, coefficients, expected_error, noise_multiplier, prefix_errors
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

ROUNDS = (20, 50, 200)
RATES = (0.05, 0.1, 0.25, 0.5)
EPSILONS = (1.0, 2.0, 8.0, 16.0)
UNITS = 660
"""Training users of MovieLens-100K; delta is 1 / n^1.1 of them, as in a run's plan."""
COLUMNS = ("n", "rate", "epsilon", "independent", "bands", "banded", "ratio", "final")
LEGEND = (
    "n rounds, each with a share `rate` of all users. Of both competitors: the noise on the sum of all rounds so far "
    "(root mean square over rounds, in clip norms), and in brackets the noise multiplier. ratio: banded over "
    "independent; final: the same for the last sum, which is the final model. Below 1 banded noise wins."
)


@dataclass(frozen=True)
class Competitor:
    """A mechanism at the epsilon asked for.

    Args:
        bands: Its bands; 1 is independent noise.
        noise_multiplier: Deviation of the fresh noise of a round, in clip norms.
        error: Root mean square over rounds of the deviation of the noise on a prefix sum, in clip norms.
        final_error: That of the last prefix sum, which is the final model's.
    """

    bands: int
    noise_multiplier: float
    error: float
    final_error: float


@dataclass(frozen=True)
class Row:
    """Both competitors at one setting; a ratio is the banded one's error over the independent one's."""

    rounds: int
    rate: float
    epsilon: float
    independent: Competitor
    banded: Competitor
    ratio: float
    final_ratio: float


def compare(rounds: int, rate: float, epsilon: float, delta: float) -> Row:
    """Return both competitors at the same epsilon; alike where one band is best.

    Raises:
        PrivacyError: If no noise meets epsilon.
    """
    alone, banded = (
        _competitor(rounds, bands, rate, epsilon, delta) for bands in (1, best_bands(rounds, rate, epsilon, delta))
    )
    ratios = banded.error / alone.error, banded.final_error / alone.final_error
    return Row(rounds, rate, epsilon, alone, banded, *ratios)


def context(delta: float, progress: Progress) -> list[Row]:
    """Return a row for each setting."""
    settings = list(product(ROUNDS, RATES, EPSILONS))
    rows = []
    for done, setting in enumerate(settings):
        progress("calibrating", done, len(settings))
        rows.append(compare(*setting, delta))
    progress("calibrating", len(settings), len(settings))
    return rows


def main(*, json: Json = False, quiet: Quiet = False) -> None:
    """Compare the noise of both on the sums of a run's rounds, at equal epsilon."""
    delta = UNITS**-1.1
    with RichProgress(quiet=quiet) as progress:
        rows = context(delta, progress)
    if json:
        print(formats.dumps({"benchmark": "correlated", "delta": delta, "rows": [asdict(row) for row in rows]}))
        return
    show_table(f"Noise on prefix sums at delta {delta:.2g}", COLUMNS, map(_cells, rows))
    show_text(LEGEND)


def _competitor(rounds: int, bands: int, rate: float, epsilon: float, delta: float) -> Competitor:
    asked = rounds, bands, rate, epsilon, delta
    noise, last = noise_multiplier(*asked), float(prefix_errors(coefficients(bands, rounds), rounds)[-1])
    return Competitor(bands, noise, expected_error(*asked), noise * last)


def _cells(row: Row) -> list[str]:
    alone, banded = row.independent, row.banded
    return [
        str(row.rounds),
        f"{row.rate:g}",
        f"{row.epsilon:g}",
        f"{alone.error:.3g} ({alone.noise_multiplier:.3g})",
        str(banded.bands),
        f"{banded.error:.3g} ({banded.noise_multiplier:.3g})",
        f"{row.ratio:.3f}",
        f"{row.final_ratio:.3f}",
    ]


if __name__ == "__main__":
    typer.run(main)
