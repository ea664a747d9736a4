"""Whitening of item vectors: decorrelated, unit-variance coordinates, fitted on the catalogue alone.

Language-model vectors of short texts crowd in a cone; whitening spreads them (Su et al. 2021, "Whitening
sentence representations"; used by UniSRec, Hou et al. 2022). The catalogue is public, so this costs no privacy.
"""

import numpy as np
from numpy.typing import NDArray


def whiten(
    vectors: NDArray[np.float32], dimensions: int, bounds: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return item vectors on their first principal axes, every axis scaled to one variance, every row to length 1.

    Args:
        vectors: One row per item, `[items, width]`.
        dimensions: Axes to keep; cut to the rank of the centred vectors (at most `min(items - 1, width)`).
        bounds: Item offsets of several catalogues, `[catalogues + 1]`: each is centred on its own mean, so that no axis
            is spent on telling films from groceries; the axes are common to all. One catalogue if not given.

    Returns:
        `[items, kept]`, every row of length 1 but for one that lies on the mean, which stays 0; a catalogue of one
        item, or of equal texts, keeps one column of zeros.
    """
    parts = [vectors] if bounds is None else np.split(vectors, bounds[1:-1])
    centred = np.concatenate([part.astype(np.float64) - part.mean(axis=0, dtype=np.float64) for part in parts])
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(dimensions, int((scale > scale.max(initial=0.0) * 1e-6).sum()))
    if kept == 0:
        return np.zeros((len(vectors), 1), dtype=np.float32)
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    white = (left * signs)[:, :kept]
    lengths = np.linalg.norm(white, axis=1, keepdims=True)
    return np.ascontiguousarray(white / np.maximum(lengths, np.finfo(np.float64).tiny), dtype=np.float32)
