"""The other half of `against_implicit`: implicit's own neighbours and factors (Frederickson 2016), without fedrec.

`python implicit_side.py FOLDER` is run by the Python of an environment that has implicit. It reads `work.npz` and
writes `found.npz`.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Fit everything that is asked for, in one thread, in double precision."""
    # Here, because fedrec's side imports this file without implicit.
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender
    from scipy.sparse import csr_matrix

    work = np.load(folder / "work.npz")
    places = (work["user"], work["item"])
    touched = csr_matrix((np.ones(len(work["user"])), places), shape=tuple(work["shape"]))
    found: dict[str, Any] = {"version": version("implicit")}
    for neighbours in work["neighbours"].tolist():
        nearest = CosineRecommender(K=neighbours + 1, num_threads=1)  # an item is its own nearest there
        nearest.fit(touched, show_progress=False)
        found[f"cosines of {neighbours}"] = nearest.similarity.toarray()
    for seed, start in enumerate(work["starts"]):
        for solver, use_cg in (("Cholesky", False), ("conjugate gradients", True)):
            model = AlternatingLeastSquares(
                factors=start.shape[1],
                regularization=float(work["l2"]),
                alpha=float(work["confidence"]),
                iterations=int(work["iterations"]),
                use_cg=use_cg,
                num_threads=1,
                dtype=np.float64,
            )
            model.user_factors, model.item_factors = np.zeros((touched.shape[0], start.shape[1])), start.copy()
            model.fit(touched, show_progress=False)
            found[f"users by {solver} {seed}"] = model.user_factors
            found[f"items by {solver} {seed}"] = model.item_factors
    np.savez(folder / "found.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
