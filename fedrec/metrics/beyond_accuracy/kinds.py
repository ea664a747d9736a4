"""Items by kind: genres of films, departments of products, whatever attribute an experiment names.

A *kind* is a value of one item attribute; an item of several kinds counts for each in equal parts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError

Kinds = NDArray[np.float64]

MOST_KINDS = 1_000
"""An attribute of more values names items rather than kinds of them, and would cost a large matrix to say so."""


def kinds_of(cells: Sequence[str], attribute: str) -> Kinds:
    """Return how much each item is of each kind, `[items, kinds]`: rows sum to 1, to 0 for an item of no kind.

    Args:
        cells: The attribute of each item, its kinds parted by "|" ("Comedy|Drama"); "" for none.
        attribute: Its name, for the error.

    Raises:
        ConfigError: If there are more than `MOST_KINDS` kinds.
    """
    parted = [[kind for kind in dict.fromkeys(cell.split("|")) if kind] for cell in cells]
    names = sorted({kind for own in parted for kind in own})
    if len(names) > MOST_KINDS:
        message = (
            f"item attribute {attribute!r} has {len(names)} values, more than {MOST_KINDS}: it names items and not "
            "kinds of them; set evaluation.kinds to another one, or to an empty string"
        )
        raise ConfigError(message)
    place = {kind: column for column, kind in enumerate(names)}
    kinds = np.zeros((len(parted), len(names)))
    for row, own in zip(kinds, parted, strict=True):
        row[[place[kind] for kind in own]] = 1.0 / max(1, len(own))
    return kinds
