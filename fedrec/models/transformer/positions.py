"""What attention knows of distance, beside the positions' own vectors."""

import torch
from jaxtyping import Float
from torch import Tensor

POSITIONS = ("absolute", "alibi")


def alibi(heads: int, window: int) -> Float[Tensor, "heads window window"]:
    """Return what is added to the attention scores of each head: a penalty that is linear in the distance.

    Head `h` of `H` loses `2^(-8 h / H)` a step, `h` from 1 (Press, Smith & Lewis 2022, section 3).
    """
    slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
    places = torch.arange(window)
    distance = (places[:, None] - places[None, :]).clamp(min=0)
    return -slopes[:, None, None] * distance
