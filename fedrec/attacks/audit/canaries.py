"""Canaries: users made up for an audit, each in the training data by its own fair coin.

A canary is a client of its own, or one more user of a client that holds many, whether it is in or out: which clients
and users exist is not hidden, what they hold is. One that is out has a single interaction, of which no example can be
made: as a client it adds its noise under local trust, and nothing to a sum under central trust.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.data.columns import RaggedArray, StringColumn, bounds_of
from fedrec.data.federation import Federation
from fedrec.data.interactions import IntArray, Interactions
from fedrec.experiment.config import Experiment


@dataclass(frozen=True, eq=False)
class Canaries:
    """The made-up users.

    Attributes:
        first: Client number of the first; the others follow.
        included: Whether each is in the training data, `[canaries]`.
        sequences: Items of each, at least two: what it holds if it is in.
        hosts: Which client holds each as one of its users, `[canaries]`; None if each is a client of its own.
    """

    first: int
    included: NDArray[np.bool_]
    sequences: Sequence[IntArray]
    hosts: IntArray | None = None

    def __len__(self) -> int:
        return len(self.included)

    @property
    def clients(self) -> range:
        """Their client numbers, where each is a client of its own (see `clients_apart`)."""
        return range(self.first, self.first + len(self))

    @property
    def holders(self) -> IntArray:
        """Number of the client that holds each, `[canaries]`."""
        return np.array(self.clients, dtype=np.int64) if self.hosts is None else self.hosts

    def rows_in(self, train: Interactions, *, everybody: bool = False) -> Interactions:
        """Return the training rows with the canaries as further users, the last ones.

        Args:
            train: Rows of the training users.
            everybody: Let all canaries be in, whatever their coins say.
        """
        held = [
            sequence if everybody or inside else sequence[:1]
            for sequence, inside in zip(self.sequences, self.included, strict=True)
        ]
        lengths = np.array([len(items) for items in held], dtype=np.int64)
        rows = int(lengths.sum())
        return Interactions(
            bounds=np.concatenate((train.bounds, train.bounds[-1] + np.cumsum(lengths))),
            item=np.concatenate((train.item, *held)),
            time=np.concatenate((train.time, np.arange(rows, dtype=train.time.dtype))),
            value=np.concatenate((train.value, np.ones(rows, dtype=train.value.dtype))),
            num_items=train.num_items,
        )

    def clients_in(self, federation: Federation, num_users: int) -> Federation:
        """Return the federation with each canary where it belongs; `num_users` is the number of users before."""
        if self.hosts is None:
            return self.clients_apart(federation, num_users)
        more = [num_users + np.flatnonzero(self.hosts == client) for client in range(len(federation))]
        users = [np.concatenate((own, planted)) for own, planted in zip(federation.users, more, strict=True)]
        return Federation(RaggedArray.of(users), federation.names)

    def clients_apart(self, federation: Federation, num_users: int) -> Federation:
        """Return the federation with each canary as a further client, whoever holds it in the run."""
        ends = federation.users.bounds[-1] + np.arange(1, len(self) + 1)
        users = np.concatenate((federation.users.values, num_users + np.arange(len(self))))
        names = [*federation.names, *(f"canary-{number}" for number in range(len(self)))]
        return Federation(RaggedArray(users, np.concatenate((federation.users.bounds, ends))), StringColumn.of(names))


def hidden(train: Interactions, users: IntArray) -> Interactions:
    """Return the rows with only the first one left of each of `users`: they are known, and have no example."""
    lengths = np.diff(train.bounds)
    kept = np.ones(len(train), dtype=bool)
    for user in users:
        kept[train.bounds[user] + 1 : train.bounds[user + 1]] = False
    lengths[users] = np.minimum(lengths[users], 1)
    return Interactions(bounds_of(lengths), train.item[kept], train.time[kept], train.value[kept], train.num_items)


def draw_canaries(count: int, catalogues: Sequence[range], experiment: Experiment) -> Canaries:
    """Return `count` canaries with items at random, each once, and their coins: named draws of the experiment's seed.

    A canary's items are those that one of the clients is offered: its host, or, where it is a client of its own, one
    whose turn it is. It fills the model's window. Where an example is the unit and a prefix is an example, it has two
    items, which make one example: one unit. Where clients of many users noise their own updates, canaries are dealt
    out to them.

    Args:
        count: How many.
        catalogues: Items that may be recommended to each client before, at least one; the canaries' numbers follow.
        experiment: What is audited.

    Raises:
        ConfigError: If `count` is below 1, or a catalogue has a single item.
    """
    fewest = min(len(items) for items in catalogues)
    if count < 1 or fewest < 2:
        message = f"an audit needs at least 1 canary and 2 items, got {count} and {fewest}; set --canaries"
        raise ConfigError(message)
    single = experiment.privacy.unit == "example" and experiment.training.example == "prefix"
    longest = 2 if single else experiment.model.window + 1
    hosts = np.arange(count) % len(catalogues)
    seed, own = experiment.seed, experiment.federation.partition == "users" or experiment.privacy.unit == "platform"
    return Canaries(
        first=len(catalogues),
        included=rng_for(seed, "canary coins").random(count) < 0.5,
        sequences=[
            items.start
            + rng_for(seed, "canary items", number).choice(len(items), size=min(longest, len(items)), replace=False)
            for number, items in enumerate(catalogues[host] for host in hosts.tolist())
        ],
        hosts=None if own or experiment.privacy.trust != "local" else hosts,
    )


def directions(count: int, dimensions: int, seed: int) -> NDArray[np.float64]:
    """Return `count` orthogonal directions of length 1 at random, `[count, dimensions]`: Dirac canaries, turned.

    No canary's update then looks like another's, and hardly like a user's.

    Raises:
        ConfigError: If there are not that many.
    """
    if count > dimensions:
        message = f"{count} canaries do not fit into {dimensions} parameters; set --canaries to at most {dimensions}"
        raise ConfigError(message)
    basis, _ = np.linalg.qr(rng_for(seed, "canary directions").normal(size=(dimensions, count)))
    return np.ascontiguousarray(basis.T)
