"""The weights of a linear branch, of sums over users that are made once, before the first round.

Clients add up their parts without noise, and so without privacy (see `fedrec.experiment.rules`); what public users did,
the server knows, and asks nobody.
"""

import numpy as np
from flwr.serverapp import Grid
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.models.linear.squares import MAX_ITEMS
from fedrec.models.linear.sums import SUMS, asked_sums, pooled_weights, weights_of
from fedrec.run.directory import RunDirectory
from server.polls.poll import Poll, poll


def linear_weights(run: RunDirectory, grid: Grid) -> tuple[dict[str, Tensor], list[Poll]]:
    """Return the weights by the name of their sum, and how each sum was asked for, if clients were.

    Raises:
        FederationError: If fewer than `federation.min_replies` clients answer.
        ConfigError: If there are more items than a dense square of them would fit into memory, or if no weights can
            be made of the sums.
    """
    config, prepared = run.experiment.linear, run.job.prepared
    items = prepared.train.num_items
    if items > MAX_ITEMS:
        message = (
            f"linear.on = true: a linear branch has a weight for each two of {items} items, and at most "
            f"{MAX_ITEMS} items are allowed; leave it out"
        )
        raise ConfigError(message)
    if config.users == "public":
        return pooled_weights(prepared.split.train.of_users(prepared.split.public), config), []
    weights, polls = {}, []
    for name in asked_sums(config):
        found = poll(run, grid, name, SUMS[name].size(items), lambda vector: vector.astype(np.float64))
        weights[name] = weights_of(name, found.total, items, config)
        polls.append(found)
    return weights, polls
