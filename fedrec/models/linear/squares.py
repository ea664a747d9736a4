"""Squares of the catalogue, which linear recommenders solve: how many fit into memory, and how one is inverted."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from fedrec.core.errors import ConfigError

MAX_ITEMS = 20_000
"""Items of a catalogue above which one square, 3.2 GB there, would not fit a workstation's memory."""

BLOCK = 256
"""Rows of a square that are worked on at once."""


def require_solvable(name: str, num_items: int, l2: float) -> None:
    """Refuse a catalogue whose square is too large, and a penalty that regularises nothing.

    Raises:
        ConfigError: If `l2` is not positive, or the catalogue has more than `MAX_ITEMS` items.
    """
    if l2 <= 0:
        message = f"{name} needs an l2 penalty above 0, got {l2}; around 300 suits MovieLens"
        raise ConfigError(message)
    if num_items > MAX_ITEMS:
        gigabytes = 8 * num_items**2 / 1e9
        message = (
            f"{name} solves a dense items x items matrix: {num_items} items need about {gigabytes:.0f} GB, and at "
            f"most {MAX_ITEMS} items are allowed; leave {name!r} out of evaluation.controls"
        )
        raise ConfigError(message)


def invert_(name: str, symmetric: NDArray[np.float64]) -> None:
    """Put the inverse of a positive definite matrix, `[n, n]`, in its place (Cholesky; LAPACK's potrf and potri).

    LAPACK reads columns where numpy has rows, so that its lower triangle is our upper one.

    Raises:
        ConfigError: If rounding leaves it not positive definite.
    """
    factor, failed = lapack.dpotrf(symmetric.T, lower=True, clean=False, overwrite_a=True)
    if not failed:
        _, failed = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise ConfigError(_lost_in_rounding(name))
    for first in range(0, len(symmetric), BLOCK):
        rows, behind = slice(first, first + BLOCK), slice(first + BLOCK, None)
        symmetric[behind, rows] = symmetric[rows, behind].T
        corner = np.triu(symmetric[rows, rows])
        symmetric[rows, rows] = corner + np.triu(corner, 1).T


def solve_(name: str, symmetric: NDArray[np.float64], wanted: NDArray[np.float64]) -> None:
    """Put the solution `X` of `symmetric @ X = wanted` in the place of `wanted`, by Cholesky.

    LAPACK's potrf and BLAS's trsm read columns where numpy has rows, so they are asked for
    `X' symmetric = wanted'`, from the right.

    Args:
        name: Of the control that asks.
        symmetric: Positive definite, `[n, n]`; spoilt.
        wanted: `[n, m]`.

    Raises:
        ConfigError: If rounding leaves the matrix not positive definite.
    """
    factor, failed = lapack.dpotrf(symmetric.T, lower=True, clean=False, overwrite_a=True)
    if failed:
        raise ConfigError(_lost_in_rounding(name))
    for transposed in (True, False):
        blas.dtrsm(1.0, factor, wanted.T, side=1, lower=True, trans_a=transposed, overwrite_b=True)


def _lost_in_rounding(name: str) -> str:
    return f"{name} cannot solve its matrix: the l2 penalty is lost in rounding; raise it, around 300 suits MovieLens"
