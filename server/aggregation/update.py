"""What strategies work on: checked updates, as numpy arrays by parameter name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Arrays = dict[str, Array]

State = dict[str, NDArray[Any]]
"""What a strategy keeps between rounds, by name."""


@dataclass(frozen=True, eq=False)
class Update:
    """One client's accepted answer.

    Attributes:
        client: Number of the client.
        delta: Adapter after minus before, by parameter name.
        weight: Number of examples; 1 under privacy.
        extras: Payload of the client's rule, by name.
    """

    client: int
    delta: Arrays
    weight: float
    extras: Arrays = field(default_factory=dict)


def norm_of(arrays: Mapping[str, Array]) -> float:
    """Return the L2 norm over all arrays together, in float64; 0 for none.

    Summed in the order of the names: a resumed run reads its arrays back in another order, and must get the same bits.
    """
    return float(np.sqrt(sum(float(np.square(arrays[name], dtype=np.float64).sum()) for name in sorted(arrays))))


def no_change(found: object, of: Mapping[str, Array]) -> str:
    """Return why something is no change of an adapter, in words; "" if it is one.

    Args:
        found: What a strategy returned; anything.
        of: The adapter.
    """
    if not isinstance(found, Mapping):
        return f"{type(found).__name__} instead of arrays by name"
    if found.keys() != of.keys():
        missing, unknown = sorted(of.keys() - found.keys()), sorted(map(str, found.keys() - of.keys()))
        return f"a change that lacks {missing[:3] or 'nothing'} and has the unknown {unknown[:3] or 'nothing'}"
    for name, value in of.items():
        if np.shape(found[name]) != value.shape:
            return f"{name} of shape {list(np.shape(found[name]))} instead of {list(value.shape)}"
    return ""
