"""The linear branch of a finished recommender: how much of it, and of its parts, is what the validation users pick.

They pick after the training, because training users are no judges of it: their own interactions are in the sums that
its weights are made of.
"""

from collections.abc import Callable, Mapping, Sequence
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

    @property
    def words(self) -> str:
        """What was picked."""
        return f"linear branch with gain {self.gain:g}" + (f", next item {self.share:g}" if self.share else "")


Parameters = Mapping[str, Tensor]


def with_best_branch(
    parameters: Parameters, weights: Mapping[str, Tensor], best_of: Callable[[Sequence[Parameters]], int]
) -> tuple[dict[str, Tensor], Branch]:
    """Return parameters with a linear branch beside them, and that branch.

    Args:
        parameters: Of a finished recommender.
        weights: As of `branches`.
        best_of: Picks one of the parameters that differ in the branch, those of gain 0 first.
    """
    tried = branches(weights)
    best = tried[best_of([{**parameters, **branch.parameters} for branch in tried])]
    return {**parameters, **best.parameters}, best


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
