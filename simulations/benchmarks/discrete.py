"""What few bits cost: the error of a secure sum with Skellam noise against a trusted server's, at equal epsilon.

`python -m simulations.benchmarks.discrete` prints a table, with `--json` the same numbers; it takes seconds. No model
is trained: clients' changes are drawn, each of the whole clip norm, half of it shared by all. The trusted server rounds
nothing, and its noise is priced by PLD; the clients pad, rotate, round, add shares of Skellam noise that suffice for
the fewest honest survivors, and their sum is decoded from few bits.
"""

import json as formats
from dataclasses import asdict, dataclass

import numpy as np
import typer
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting.prices import Mechanism, calibrate
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.integers.quantisation import encode
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

COHORT = 66
THRESHOLD = 53
LENGTH = 2048
ROUNDS = 10
EPSILONS = (1.0, 8.0)
BITS = (10, 12, 16, 20)
DELTA = 1e-4
ASKED = 32
"""Bits of a number today, with Gaussian noise on a fine grid."""
COLUMNS = ("epsilon", "noise", "bits", "bytes", "error", "over central")
LEGEND = (
    f"{COHORT} clients, {THRESHOLD} of which must stay and 1 may collude, {LENGTH:,} numbers, {ROUNDS} rounds, delta "
    f"{DELTA:g}. bytes: one client's packed integers a round. error: root mean square of a number of the decoded mean "
    "when nobody drops out, in clip norms; over central: against that of a trusted server's Gaussian noise."
)


@dataclass(frozen=True)
class Row:
    """One way to add noise.

    Args:
        epsilon: Claimed for all rounds.
        noise: Who draws it, or its law.
        bits: Of a number on the wire; a float's for the trusted server.
        upload_bytes: Of one client a round.
        error: Root mean square error of a number of the mean, in clip norms; None where the bits are too few.
        ratio: The error over the trusted server's.
    """

    epsilon: float
    noise: str
    bits: int
    upload_bytes: int
    error: float | None
    ratio: float | None


def compare(target: float) -> list[Row]:
    """Return the trusted server, Gaussian shares on the fine grid, and Skellam shares on each number of bits.

    Raises:
        PrivacyError: If no noise meets the target.
    """
    central = calibrate(target, DELTA, 1.0, ROUNDS) / COHORT
    rows = [Row(target, "central", 32, 4 * LENGTH, central, 1.0)]
    ways: list[tuple[Mechanism, int]] = [("gaussian", ASKED), *(("skellam", bits) for bits in BITS)]
    for noise, bits in ways:
        agreed = _agreed(target, noise, bits)
        try:
            error = _error(agreed)
        except ConfigError:
            error = None
        rows.append(Row(target, noise, bits, LENGTH * bits // 8, error, error and error / central))
    return rows


def context(progress: Progress) -> list[Row]:
    """Return the rows of all targets."""
    rows = []
    for done, target in enumerate(EPSILONS):
        progress("adding up", done, len(EPSILONS))
        rows += compare(target)
    progress("adding up", len(EPSILONS), len(EPSILONS))
    return rows


def main(*, json: Json = False, quiet: Quiet = False) -> None:
    """Compare the error of decoded means at equal epsilon."""
    with RichProgress(quiet=quiet) as progress:
        rows = context(progress)
    if json:
        print(formats.dumps({"benchmark": "discrete", "delta": DELTA, "rows": [asdict(row) for row in rows]}))
        return
    show_table(f"Noise under secure sums at delta {DELTA:g}", COLUMNS, map(_cells, rows))
    show_text(LEGEND)


def _agreed(target: float, noise: Mechanism, bits: int) -> Agreement:
    multiplier = calibrate(target, DELTA, 1.0, ROUNDS, mechanism=noise)
    return Agreement(COHORT, THRESHOLD, 1, bits, 1.0, multiplier, ROUNDS, 0, 0, DELTA, noise)


def _error(agreed: Agreement) -> float:
    """Return the error of a decoded mean, clipping and wrapping included.

    Raises:
        ConfigError: If the bits are too few.
    """
    code = agreed.code(1, LENGTH)
    code.check()
    terms = agreed.terms(1, LENGTH)
    changes = _changes()
    total = np.zeros(code.width, terms.dtype)
    for client, change in enumerate(changes):
        integers = code.integers(change, rng_for(0, "share of noise", 1, client))
        total = terms.reduced(total + encode(integers, agreed.bits, terms.dtype))
    error = code.reals(total) - changes.sum(axis=0)
    return float(np.sqrt(np.mean(error**2))) / COHORT


def _changes() -> NDArray[np.float64]:
    """Return changes of length 1, `[clients, numbers]`, any two with a cosine of about one half."""
    rng = rng_for(0, "changes")
    drawn = rng.normal(0, 1, (COHORT, LENGTH)) + rng.normal(0, 1, LENGTH)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float64)


def _cells(row: Row) -> list[str]:
    return [
        f"{row.epsilon:g}",
        row.noise,
        str(row.bits),
        f"{row.upload_bytes:,}",
        "too few bits" if row.error is None else f"{row.error:.4f}",
        "" if row.ratio is None else f"{row.ratio:.3f}",
    ]


if __name__ == "__main__":
    typer.run(main)
