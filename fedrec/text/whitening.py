"""Whitening of item vectors: decorrelated, unit-variance coordinates, fitted on the catalogue alone.

Language-model vectors of short texts crowd in a cone; whitening spreads them (Su et al. 2021, "Whitening
sentence representations"; used by UniSRec, Hou et al. 2022). The catalogue is public, so this costs no privacy.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import TextConfig

DIMENSIONS = 256
"""Axes that whitening keeps where the experiment does not say how many."""


def item_vectors(raw: NDArray[np.float32], config: TextConfig, bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return item vectors as `text.whitening` wants them: every row of length 1, or 0.

    Args:
        raw: The encoder's, one row per item, `[items, width]`.
        config: Which whitening, and how many axes.
        bounds: Item offsets of the platforms' catalogues, `[platforms + 1]`.

    Returns:
        `[items, kept]`. `global`: see `whiten`. `platform`: each catalogue whitened by itself, so that a coordinate of
        one has no meaning for another, with zeros behind the axes of one that has fewer; of a single platform the same
        bits as `global`. `off`: the raw vectors, only their lengths are made 1; `kept` is `width`.

    Raises:
        ConfigError: If `text.dimensions` is another than the encoder's width, without whitening.
    """
    return _KINDS[config.whitening](raw, config.dimensions, bounds)


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
    return _of_length_one((left * signs)[:, :kept])


def _off(raw: NDArray[np.float32], dimensions: int | None, bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    del bounds
    width = raw.shape[1]
    if dimensions not in {None, width}:
        message = (
            f"text.dimensions = {dimensions}: with text.whitening = 'off' item vectors are as wide as the encoder "
            f"makes them, {width}; leave text.dimensions out, or whiten"
        )
        raise ConfigError(message)
    return _of_length_one(raw.astype(np.float64))


def _global(raw: NDArray[np.float32], dimensions: int | None, bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    return whiten(raw, dimensions or DIMENSIONS, bounds)


def _platform(raw: NDArray[np.float32], dimensions: int | None, bounds: NDArray[np.int64]) -> NDArray[np.float32]:
    parts = [whiten(part, dimensions or DIMENSIONS) for part in np.split(raw, bounds[1:-1])]
    widest = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in parts])


def _of_length_one(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return every row over its length; a row of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(lengths, np.finfo(np.float64).tiny), dtype=np.float32)


_KINDS: Mapping[str, Callable[[NDArray[np.float32], int | None, NDArray[np.int64]], NDArray[np.float32]]] = {
    "off": _off,
    "global": _global,
    "platform": _platform,
}
