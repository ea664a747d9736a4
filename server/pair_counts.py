"""What a linear branch is made of: how many users have both of two items, added up once before the first round.

Exact, so that the branch is the one that all data in one place would give; without noise, and so without privacy (see
`fedrec.experiment.rules`).
"""

import numpy as np
from flwr.serverapp import Grid

from fedrec.core.errors import ConfigError
from fedrec.models.linear.squares import MAX_ITEMS
from fedrec.run.directory import RunDirectory
from fedrec.training.pair_counts import triangle_size
from server.polls import Poll, poll


def pair_counts(run: RunDirectory, grid: Grid) -> Poll:
    """Ask all clients, and return the upper triangle of the counts, and who could not answer.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
        ConfigError: If there are more items than a dense square of them would fit into memory.
    """
    num_items = run.job.prepared.train.num_items
    if num_items > MAX_ITEMS:
        message = (
            f"linear.on = true: a linear branch has a weight for each two of {num_items} items, and at most "
            f"{MAX_ITEMS} items are allowed; leave it out"
        )
        raise ConfigError(message)
    size = triangle_size(num_items)
    return poll(run, grid, "pair_counts", size, lambda vector: vector.astype(np.float64))
