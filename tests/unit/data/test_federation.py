"""Who forms a client: partitions on tables small enough to write down, and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrec.core.errors import ConfigError
from fedrec.data.federation import PARTITIONS, federate
from fedrec.data.split import split_users
from fedrec.experiment.config import FederationConfig, SplitConfig
from tests.handmade import dataset, interactions

USERS = 40
# users of even number meet items 0 to 2 (genre a), odd ones items 3 to 5 (genre b)
WORLD = dataset(
    interactions([[user % 2 * 3 + step for step in range(3)] for user in range(USERS)], num_items=6),
    genres=["a|b", "a", "a", "b", "b|a", "b"],
    gender=["" if user % 10 == 0 else "MF"[user % 3 == 0] for user in range(USERS)],
)
SPLIT = split_users(WORLD.interactions, SplitConfig(validation=0.0, test=0.1), seed=0)


def clients(seed: int = 0, **config):
    return federate(WORLD, SPLIT, FederationConfig(**config), seed)


@given(
    st.sampled_from(PARTITIONS.names()),
    st.integers(1, len(SPLIT.private)),
    st.integers(0, 5),
    st.sampled_from((0.01, 1, 100)),
)
def test_every_partition_deals_out_each_private_user_once(partition, number, seed, alpha):
    federation = clients(seed, partition=partition, clients=number, alpha=alpha, attribute="gender")
    np.testing.assert_array_equal(np.sort(np.concatenate(federation.users)), SPLIT.private)
    assert all(len(users) > 0 for users in federation.users)
    assert all((np.diff(users) > 0).all() for users in federation.users)
    assert len(federation.names) == len(set(federation.names)) == len(federation)


def test_one_user_a_client_bears_the_users_name():
    federation = clients(partition="users")
    assert [users.tolist() for users in federation.users] == [[user] for user in SPLIT.private.tolist()]
    assert federation.names[0] == f"user {SPLIT.private[0]}"


def test_shards_differ_in_size_by_at_most_one():
    # 36 private users on 5 clients: 8 + 7 + 7 + 7 + 7
    assert sorted(len(users) for users in clients(partition="shards", clients=5).users) == [7, 7, 7, 7, 8]


@pytest.mark.parametrize("partition", ["shards", "dirichlet"])
def test_the_seed_and_nothing_else_decides_the_shards(partition):
    one, same, other = (clients(seed, partition=partition, clients=4).users for seed in (0, 0, 1))
    assert [users.tolist() for users in one] == [users.tolist() for users in same]
    assert [users.tolist() for users in one] != [users.tolist() for users in other]


def test_one_client_holds_everyone():
    for partition in ("shards", "dirichlet"):
        np.testing.assert_array_equal(clients(partition=partition, clients=1).users[0], SPLIT.private)


def test_dirichlet_clients_have_one_taste_where_alpha_is_small():
    def purity(alpha):
        """Mean share of a client's commonest taste, by users: 1/2 is no skew, 1 is all of one taste."""
        total = sum(
            max(int((users % 2 == 0).sum()), int((users % 2 == 1).sum()))
            for seed in range(20)
            for users in clients(seed, partition="dirichlet", clients=4, alpha=alpha).users
        )
        return total / (20 * len(SPLIT.private))

    assert purity(0.02) > purity(1.0) > purity(1000.0)
    assert purity(0.02) > 0.85


def test_attribute_clients_are_named_by_value_and_unknown_is_a_client():
    federation = clients(partition="attribute", attribute="gender")
    assert list(federation.names) == ["unknown", "F", "M"]
    values = np.array(WORLD.users.attributes["gender"])
    assert [set(values[users]) for users in federation.users] == [{""}, {"F"}, {"M"}]


def test_public_users_do_not_federate():
    split = split_users(WORLD.interactions, SplitConfig(validation=0.0, test=0.1, public=0.5), seed=0)
    federation = federate(WORLD, split, FederationConfig(partition="shards", clients=3), seed=0)
    assert set(np.concatenate(federation.users)).isdisjoint(split.public)


@pytest.mark.parametrize("partition", ["shards", "dirichlet"])
def test_more_clients_than_users_is_an_error(partition):
    with pytest.raises(ConfigError, match=r"federation.clients=37 is more than the 36 private"):
        clients(partition=partition, clients=37)


def test_an_unknown_attribute_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match="no attribute 'job'; known: gender"):
        clients(partition="attribute", attribute="job")


def test_skew_by_taste_needs_genres():
    bare = dataset(WORLD.interactions)
    with pytest.raises(ConfigError, match="no genres to skew by"):
        federate(bare, SPLIT, FederationConfig(partition="dirichlet", clients=2), seed=0)
