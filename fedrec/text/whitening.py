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


def further_vectors(
    further: NDArray[np.float32],
    catalogue: NDArray[np.int64],
    raw: NDArray[np.float32],
    config: TextConfig,
    bounds: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return vectors of other texts than the items', in the space of the item vectors: each of length 1, or 0.

    Means and axes are those of the items alone, so a text that reads as an item's does gets that item's vector.

    Args:
        further: The encoder's, one row per text, `[texts, width]`.
        catalogue: Number of the catalogue that each text is about, `[texts]`.
        raw: The encoder's of the items, `[items, width]`.
        config: As of `item_vectors`.
        bounds: As of `item_vectors`.
    """
    return _FURTHER[config.whitening](further, catalogue, raw, config.dimensions or DIMENSIONS, bounds)


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
    whole = np.array([0, len(vectors)]) if bounds is None else bounds
    white, _ = _principal(_centred(vectors, _owners(whole), vectors, whole), dimensions)
    return _of_length_one(white)


def _owners(bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the catalogue of each item, `[items]`."""
    return np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))


def _centred(
    rows: NDArray[np.float32], catalogue: NDArray[np.int64], raw: NDArray[np.float32], bounds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return rows less the mean of the items `raw` of the catalogue that each row is of."""
    means = np.stack([part.mean(axis=0, dtype=np.float64) for part in np.split(raw, bounds[1:-1])])
    centred: NDArray[np.float64] = rows.astype(np.float64) - means[catalogue]
    return centred


def _principal(centred: NDArray[np.float64], dimensions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows on their principal axes, `[rows, kept]`, and what takes any row there, `[width, kept]`."""
    left, scale, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(dimensions, int((scale > scale.max(initial=0.0) * 1e-6).sum()))
    if kept == 0:
        return np.zeros((len(centred), 1)), np.zeros((centred.shape[1], 1))
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    return (left * signs)[:, :kept], (right.T * signs)[:, :kept] / scale[:kept]


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
    return _stacked([whiten(part, dimensions or DIMENSIONS) for part in np.split(raw, bounds[1:-1])])


def _stacked(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the rows of all parts, with zeros behind those of narrower ones."""
    widest = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in parts])


def _further_off(
    further: NDArray[np.float32],
    catalogue: NDArray[np.int64],
    raw: NDArray[np.float32],
    dimensions: int,
    bounds: NDArray[np.int64],
) -> NDArray[np.float32]:
    del catalogue, raw, dimensions, bounds
    return _of_length_one(further.astype(np.float64))


def _further_global(
    further: NDArray[np.float32],
    catalogue: NDArray[np.int64],
    raw: NDArray[np.float32],
    dimensions: int,
    bounds: NDArray[np.int64],
) -> NDArray[np.float32]:
    _, axes = _principal(_centred(raw, _owners(bounds), raw, bounds), dimensions)
    return _of_length_one(_centred(further, catalogue, raw, bounds) @ axes)


def _further_platform(
    further: NDArray[np.float32],
    catalogue: NDArray[np.int64],
    raw: NDArray[np.float32],
    dimensions: int,
    bounds: NDArray[np.int64],
) -> NDArray[np.float32]:
    parts = []
    for number, items in enumerate(np.split(raw, bounds[1:-1])):
        own = further[catalogue == number]
        parts.append(_further_global(own, np.zeros(len(own), np.int64), items, dimensions, np.array([0, len(items)])))
    return _stacked(parts)[np.argsort(np.argsort(catalogue, kind="stable"), kind="stable")]


def _of_length_one(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return every row over its length; a row of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(lengths, np.finfo(np.float64).tiny), dtype=np.float32)


_KINDS: Mapping[str, Callable[[NDArray[np.float32], int | None, NDArray[np.int64]], NDArray[np.float32]]] = {
    "off": _off,
    "global": _global,
    "platform": _platform,
}

_FURTHER: Mapping[
    str,
    Callable[
        [NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], int, NDArray[np.int64]], NDArray[np.float32]
    ],
] = {"off": _further_off, "global": _further_global, "platform": _further_platform}
