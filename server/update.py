"""What strategies work on: checked updates, as numpy arrays by parameter name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Update:
    """One client's accepted answer.

    Attributes:
        client: Number of the client.
        delta: Adapter after minus before, by parameter name.
        weight: Number of examples; 1 under privacy.
    """

    client: int
    delta: Arrays
    weight: float


def norm_of(arrays: Mapping[str, NDArray[np.float32]]) -> float:
    """Return the L2 norm over all arrays together, in float64."""
    return float(np.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays.values())))
