"""The controls `item_knn` and `ials` beside the library implicit (Frederickson 2016): same data, same settings.

`python -m simulations.benchmarks.against_implicit --implicit PYTHON --out DIR` takes the training users of split 0 of
`simulations.benchmarks.controls`. PYTHON is that of an environment with implicit, which needs nothing of fedrec's.

Cosines and factors must be the same, the factors from the same start and where implicit solves exactly (Cholesky). By
default it takes three steps of conjugate gradients: then the value of the objective is compared, and what the factors
are worth to the validation users, over several seeds.
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import sparse

from fedrec.core.errors import ConfigError
from fedrec.evaluation.controls.ials import ITERATIONS, Factors, first_factors, fitted_factors, folding_in
from fedrec.evaluation.controls.item_knn import item_cosines
from fedrec.evaluation.evaluator import Evaluator
from fedrec.models.linear.histories import touched_by
from simulations.benchmarks import implicit_side
from simulations.benchmarks.controls import prepared_split

NEIGHBOURS = 50
FACTORS, L2, CONFIDENCE = 64, 10.0, 2.0


def main(
    implicit: Annotated[Path, typer.Option(metavar="PYTHON", help="Of an environment that has implicit.")],
    out: Annotated[Path, typer.Option(help="Folder of the prepared split; that of the benchmark of controls will do.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to N - 1 of the factors.")] = 5,
) -> None:
    """Print how far the cosines are apart, and a line for each way to get factors."""
    job = prepared_split(out / "split-0", 0).job
    train, evaluator = job.prepared.train, Evaluator(job)
    touched = touched_by(train)
    starts = [first_factors(train.num_items, FACTORS, seed) for seed in range(seeds)]
    theirs = fitted_by_implicit(implicit, touched, [NEIGHBOURS, train.num_items], starts)
    print(f"implicit {theirs['version']}, {train.num_users} x {train.num_items}, {touched.nnz} pairs")
    for neighbours in (NEIGHBOURS, train.num_items):
        ours = item_cosines(train, neighbours)
        furthest = apart(ours.toarray(), theirs[f"cosines of {neighbours}"])
        print(f"{ours.nnz} cosines of items with at most {neighbours} others: apart by {furthest:.1e}")
    found = {
        "fedrec": [fitted_factors(touched, start, L2, CONFIDENCE) for start in starts],
        **{
            f"implicit, {solver}": [
                (theirs[f"users by {solver} {seed}"], theirs[f"items by {solver} {seed}"]) for seed in range(seeds)
            ]
            for solver in ("Cholesky", "conjugate gradients")
        },
    }
    for name, factors in found.items():
        lost = [objective(touched, *one) for one in factors]
        gains = [evaluator.validation_gain(folding_in(items, L2, CONFIDENCE)) for _, items in factors]
        differences = [
            np.abs(our - their).max()
            for ours, others in zip(found["fedrec"], factors, strict=True)
            for our, their in zip(ours, others, strict=True)
        ]
        print(
            f"{name}: factors apart by {max(differences):.1e}, objective {in_words(lost, 1)}, NDCG@10 of validation "
            f"users {in_words(gains, 4)}"
        )


def fitted_by_implicit(
    python: Path, touched: sparse.csr_array, neighbours: Sequence[int], starts: Sequence[Factors]
) -> dict[str, Any]:
    """Return what implicit makes of the pairs, by name (see `implicit_side`).

    Raises:
        ConfigError: If implicit's side cannot be run, or fails.
    """
    user, item = touched.nonzero()
    with tempfile.TemporaryDirectory(prefix="fedrec-implicit-") as folder:
        np.savez(
            Path(folder) / "work.npz",
            user=user,
            item=item,
            shape=touched.shape,
            neighbours=neighbours,
            starts=starts,
            l2=L2,
            confidence=CONFIDENCE,
            iterations=ITERATIONS,
        )
        command = [str(python), str(Path(implicit_side.__file__)), folder]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the user's interpreter
        except (OSError, subprocess.CalledProcessError) as error:
            why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            message = f"--implicit {python} fits nothing ({why}); name the Python of an environment that has implicit"
            raise ConfigError(message) from error
        return dict(np.load(Path(folder) / "found.npz"))


def apart(ours: Factors, theirs: Factors) -> float:
    """Return the largest difference between an item's cosines: by rank, and with those others that both took.

    Of equally near ones the two may take different ones. An item's cosine with itself is left out.
    """
    others = theirs.copy()
    np.fill_diagonal(others, 0.0)
    by_rank, by_place = np.abs(np.sort(ours) - np.sort(others)), np.abs(ours - others)[(ours > 0) & (others > 0)]
    return float(max(by_rank.max(), by_place.max(initial=0.0)))


def objective(touched: sparse.csr_array, users: Factors, items: Factors) -> float:
    """Return the value that both minimise (see `fedrec.evaluation.controls.ials`)."""
    wanted = touched.toarray()
    weight = 1 + (CONFIDENCE - 1) * wanted
    lengths = float((users**2).sum() + (items**2).sum())
    return float((weight * (wanted - users @ items.T) ** 2).sum() + L2 * lengths)


def in_words(values: list[float], digits: int) -> str:
    """Return the mean and the range of values."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    typer.run(main)
