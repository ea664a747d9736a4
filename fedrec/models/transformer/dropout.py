"""Dropout whose mask is a function of a named draw: the same for one client at a time, for many, and on any device.

A training example carries a number, drawn by name beside it (`fedrec.tasks.windows.Window.dropout`). Which values of
its hidden states are dropped follows from this number, the place in the model, the position and the coordinate, by a
counter-based generator (Salmon et al. 2011): no state, so no order of calls, no padding and no batch decides it, and
`torch.func` can vectorise it.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

HALF = 16
"""Bits that decide on one value: two of them share a number of 32 bits."""
_LOW = 2 ** (2 * HALF) - 1
_STRIDE = 0x9E3779B1
"""The golden ratio times 2^32: keys of neighbouring places are far apart."""


def dropped(
    hidden: Float[Tensor, "batch length width"], draws: Int[Tensor, " batch"], place: int, share: float
) -> Float[Tensor, "batch length width"]:
    """Return hidden states with about a `share` of the values 0 and the others 1 / (1 - share) of themselves.

    Args:
        hidden: Of each example.
        draws: Each example's number, 0 to 2^32 - 1.
        place: Number of the call among those of one model: each has a mask of its own.
        share: At least 0, below 1; in steps of 2^-16.
    """
    _, length, width = hidden.shape
    pairs = -(-width // 2)
    cells = torch.arange(length * pairs, device=hidden.device).view(length, pairs)
    keys = _mixed((draws + place * _STRIDE) & _LOW)
    bits = _mixed(_mixed(cells) ^ keys[:, None, None])
    both = torch.cat((bits >> HALF, bits & (2**HALF - 1)), dim=-1)[..., :width]
    kept: Tensor = hidden * (both >= round(share * 2**HALF)) * (1 / (1 - share))
    return kept


def _mixed(value: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Return 32 well-mixed bits of each number below 2^32 (Wellons 2018, `lowbias32`); 64 bits hold the products."""
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & _LOW
    value = ((value ^ (value >> 15)) * 0x846CA68B) & _LOW
    return value ^ (value >> 16)
