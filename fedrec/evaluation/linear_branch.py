"""The linear branch of a finished recommender: how much of it, and of its parts, is what the validation users pick.

They pick after the training, because training users are no judges of it: their own interactions are in the sums that
its weights are made of.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fedrec.models.linear.branch import GAIN, WEIGHTS
from fedrec.models.linear.sums import NEXT, TOGETHER

GAINS = (0.0, 2.5, 5.0, 10.0, 20.0, 40.0)
"""Of the branch in an item's score; 0 leaves the model alone."""
SHARES = (0.0, 0.5, 1.0, 2.0)
"""Of what comes next in the branch, beside what goes together, where it has both."""


class Branch(NamedTuple):
    """A linear branch that may be picked.

    Attributes:
        gain: What it is multiplied by.
        share: What the part of the next item is multiplied by, after both parts were brought to one Frobenius norm.
        parameters: What stands beside those of the model.
    """

    gain: float
    share: float
    parameters: dict[str, Tensor]


def branches(weights: Mapping[str, Tensor]) -> list[Branch]:
    """Return the branch of some weights with each gain and share, the one of gain 0 first and once.

    Args:
        weights: By the name of their sum (see `fedrec.models.linear.sums`). Branches of one share have one array.
    """
    shares = SHARES if NEXT in weights else SHARES[:1]
    mixed = {share: _mixed(weights, share) for share in shares}
    picks = [(GAINS[0], shares[0]), *((gain, share) for share in shares for gain in GAINS[1:])]
    return [Branch(gain, share, {WEIGHTS: mixed[share], GAIN: torch.tensor(gain)}) for gain, share in picks]


def _mixed(weights: Mapping[str, Tensor], share: float) -> Tensor:
    together = weights[TOGETHER]
    if not share:
        return together
    following = weights[NEXT]
    norm = following.norm()
    return together + (share * together.norm() / norm if norm > 0 else 0.0) * following
