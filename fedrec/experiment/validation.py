"""The part of an experiment about validation users who are no volunteers: `[evaluation.private]`."""

import math
from typing import Annotated, Literal

from pydantic import Field

from fedrec.experiment.section import Section


class PrivateValidationConfig(Section):
    """What is promised to validation users, where they are no volunteers (`privacy.trust = "central"`)."""

    epsilon: Annotated[float, Field(gt=0)] = math.inf
    """Target epsilon of all that is published of one validation user; inf: they are volunteers."""
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Target delta, below 1 / n of the n validation users; min(n^-1.1, 0.01 / n) by default."""
    form: Literal["mean", "histogram"] = "mean"
    """What is released: mean loss and NDCG@10; or how often the last item has which rank, from which every metric at
    every cut-off follows at one price, but no loss."""
    change_bound: Annotated[float, Field(gt=0)] = 1.0
    """Nats by which one user's loss may lie from the base's, in a mean; what is farther counts as that much. The less,
    the less noise; below what training changes, rounds look alike."""

    @property
    def on(self) -> bool:
        """Whether validation users are promised anything."""
        return math.isfinite(self.epsilon)
