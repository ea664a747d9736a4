"""What clients send before the first round for a linear branch: their parts of the sums that it is made of."""

import numpy as np
from numpy.typing import NDArray

from fedrec.models.linear.sums import SUMS
from fedrec.training.context import TrainingContext


def client_sum(context: TrainingContext, client: int, name: str) -> NDArray[np.float32]:
    """Return the client's part of a sum (see `fedrec.models.linear.sums`); counts are exact below 2^24."""
    rows = context.train.of_users(context.federation.users[client])
    return SUMS[name].of(rows, context.experiment.linear).astype(np.float32)
