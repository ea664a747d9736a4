"""Which users form which client."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.core.seeding import rng_for
from fedrec.data.columns import RaggedArray, StringColumn
from fedrec.data.interactions import Dataset, IntArray
from fedrec.data.split import Split
from fedrec.experiment.config import FederationConfig

Partition = Callable[[Dataset, Split, FederationConfig, int], "Federation"]

PARTITIONS: Registry[Partition] = Registry("partition", group="fedrec.partitions")


@dataclass(frozen=True, eq=False)
class Federation:
    """The clients: a partition of the private training users, every client with at least one user.

    Attributes:
        users: User indices of each client, ascending.
        names: What people call each client.
    """

    users: RaggedArray
    names: StringColumn

    def __len__(self) -> int:
        return len(self.users)


def federate(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """Partition the private training users of one platform as configured.

    Raises:
        ConfigError: If the partition is not known, or cannot be made of this data set.
    """
    return PARTITIONS.get(config.partition)(dataset, split, config, seed)


@PARTITIONS.register("users")
def one_user_a_client(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """Cross-device: each user is a client."""
    del config, seed
    bounds = np.arange(len(split.private) + 1)
    return Federation(
        RaggedArray(split.private, bounds), StringColumn.of(dataset.users.ids[user] for user in split.private)
    )


@PARTITIONS.register("shards")
def random_shards(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """`clients` shards of users at random, sizes differing by at most one."""
    del dataset
    _require_enough(config.clients, split)
    shuffled = rng_for(seed, "shards").permutation(split.private)
    return _numbered([np.sort(shard) for shard in np.array_split(shuffled, config.clients)])


@PARTITIONS.register("dirichlet")
def skewed_by_taste(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """`clients` shards whose mixture of tastes is Dirichlet(alpha) (Hsu et al. 2019).

    A user's taste is the first genre met most often in its history. Clients that would stay empty get one
    user of the largest client.
    """
    _require_enough(config.clients, split)
    taste = _tastes(dataset, split)
    shards: list[list[int]] = [[] for _ in range(config.clients)]
    for name in np.unique(taste):
        rng = rng_for(seed, "dirichlet", str(name))
        members = rng.permutation(split.private[taste == name])
        shares = rng.dirichlet(np.full(config.clients, config.alpha))
        for user, client in zip(members, rng.choice(config.clients, size=len(members), p=shares), strict=True):
            shards[client].append(int(user))
    for shard in shards:
        if not shard:
            shard.append(max(shards, key=len).pop())
    return _numbered([np.array(sorted(shard), dtype=np.int64) for shard in shards])


@PARTITIONS.register("attribute")
def one_client_per_value(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """One client for each value of a user attribute; users without one form a client of their own."""
    del seed
    if config.attribute not in dataset.users.attributes:
        known = ", ".join(dataset.users.attributes) or "none"
        message = f"users of {dataset.name!r} have no attribute {config.attribute!r}; known: {known}"
        raise ConfigError(message)
    values = np.array(dataset.users.attributes[config.attribute], dtype=object)[split.private]
    names = sorted(set(values))
    users = RaggedArray.of([split.private[values == name] for name in names])
    return Federation(users, StringColumn.of(name or "unknown" for name in names))


@PARTITIONS.register("platform")
def one_client_for_all(dataset: Dataset, split: Split, config: FederationConfig, seed: int) -> Federation:
    """Cross-silo: the platform itself is the one client that all its users belong to."""
    del config, seed
    return Federation(RaggedArray.of([split.private]), StringColumn.of([dataset.name]))


def _tastes(dataset: Dataset, split: Split) -> np.ndarray:
    if "genres" not in dataset.catalogue.attributes:
        message = f"items of {dataset.name!r} have no genres to skew by; use federation.partition = 'shards'"
        raise ConfigError(message)
    genres = np.array([entry.split("|")[0] for entry in dataset.catalogue.attributes["genres"]])
    names, code = np.unique(genres, return_inverse=True)
    favourites = [np.bincount(code[split.train.items_of(int(user))]).argmax() for user in split.private]
    return np.asarray(names[favourites])


def _require_enough(clients: int, split: Split) -> None:
    if clients > len(split.private):
        message = f"federation.clients={clients} is more than the {len(split.private)} private training users"
        raise ConfigError(message)


def _numbered(shards: Sequence[IntArray]) -> Federation:
    return Federation(RaggedArray.of(shards), StringColumn.of(f"shard-{index}" for index in range(len(shards))))
