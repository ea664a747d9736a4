"""Several platforms in one numbering: each as if it were alone, side by side, and one alone as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrec.core.errors import DataError
from fedrec.data.federation import PARTITIONS, Federation, federate
from fedrec.data.interactions import Dataset
from fedrec.data.platform import Platforms, combine, combine_federations, combine_splits
from fedrec.data.split import Split, split_users
from fedrec.experiment.config import FederationConfig, SplitConfig
from tests.handmade import dataset, interactions

# five users of three books, ten users of four films; only films have genres, only readers a gender
BOOKS = dataset(interactions([[0, 1], [2, 0], [1, 2], [0, 2, 1], [1, 0]], num_items=3), gender=[*"MFMFM"])
FILMS = dataset(interactions([[user % 4, (user + 1) % 4] for user in range(10)], num_items=4), genres=list("aabb"))
BOTH = {"books": BOOKS, "films": FILMS}
PLATFORMS = Platforms.of(BOTH)
SHARES = SplitConfig(validation=0.2, test=0.2, public=0.2)


def dealt_out(data: Dataset, **config: object) -> tuple[Split, Federation]:
    split = split_users(data.interactions, SHARES, seed=3)
    return split, federate(data, split, FederationConfig.model_validate(config), seed=3)


def test_each_platform_is_a_slice_of_items_and_of_users() -> None:
    assert PLATFORMS.names == ("books", "films")
    assert PLATFORMS.items.tolist() == [0, 3, 3 + 4]
    assert PLATFORMS.users.tolist() == [0, 5, 5 + 10]
    assert PLATFORMS.items_of(1) == range(3, 7)
    assert PLATFORMS.of_users(np.array([0, 4, 5, 14])).tolist() == [0, 0, 1, 1]


def test_slices_are_read_as_they_were_written(tmp_path: Path) -> None:
    PLATFORMS.write(tmp_path)
    again = Platforms.open(tmp_path)
    assert again.names == PLATFORMS.names
    np.testing.assert_array_equal(again.items, PLATFORMS.items)
    np.testing.assert_array_equal(again.users, PLATFORMS.users)


def test_one_data_set_is_combined_to_itself() -> None:
    split, federation = dealt_out(FILMS, clients=2)
    alone = Platforms.of({"films": FILMS})
    assert combine({"films": FILMS}) is FILMS
    assert combine_splits(alone, [split]) is split
    assert combine_federations(alone, [federation]) is federation


def test_rows_keep_their_users_items_times_and_values() -> None:
    rows = combine(BOTH).interactions
    assert (rows.num_users, rows.num_items, len(rows)) == (15, 7, len(BOOKS.interactions) + len(FILMS.interactions))
    for user in range(15):
        own, first_user, first_item = (BOOKS, 0, 0) if user < 5 else (FILMS, 5, 3)
        alone = own.interactions.items_of(user - first_user)
        np.testing.assert_array_equal(rows.items_of(user), alone + first_item)
    np.testing.assert_array_equal(rows.time, [*BOOKS.interactions.time, *FILMS.interactions.time])


def test_identifiers_get_the_platforms_name_and_attributes_are_united() -> None:
    both = combine(BOTH)
    assert both.catalogue.ids[2:4] == ["books/item 2", "films/item 0"]
    assert both.users.ids[4:6] == ["books/user 4", "films/user 0"]
    assert both.catalogue.attributes["genres"] == ["", "", "", "a", "a", "b", "b"]
    assert both.users.attributes["gender"] == [*"MFMFM", *[""] * 10]
    assert both.users.attributes["platform"] == ["books"] * 5 + ["films"] * 10


def test_what_is_told_of_the_data_names_the_platform_once() -> None:
    books = replace(BOOKS, name="loans", cleaning={"repeated_pair_rows": 2}, terms="free", source="here")
    films = replace(FILMS, name="loans", cleaning={"repeated_pair_rows": 3}, terms="free", source="there")
    both = combine({"books": books, "films": films})
    assert (both.name, both.terms, both.source) == ("loans", "free", "here; there")
    assert both.cleaning == {"books/repeated_pair_rows": 2, "films/repeated_pair_rows": 3}


@pytest.mark.parametrize(("orders", "order"), [(("time", "time"), "time"), (("time", "file"), "file")])
def test_rows_are_in_time_order_only_if_those_of_all_platforms_are(orders: tuple[str, str], order: str) -> None:
    parts = {name: replace(part, order=own) for (name, part), own in zip(BOTH.items(), orders, strict=True)}
    assert combine(parts).order == order


def test_a_users_attribute_of_that_name_is_refused() -> None:
    taken = dataset(BOOKS.interactions, platform=[*"abcde"])
    with pytest.raises(DataError, match="platform 'books' have an attribute 'platform'"):
        combine({"books": taken, "films": FILMS})


def test_a_split_holds_out_of_each_platform_whom_it_would_hold_out_alone() -> None:
    books, films = (split_users(data.interactions, SHARES, seed=3) for data in (BOOKS, FILMS))
    both = combine_splits(PLATFORMS, [books, films])
    for group in ("private", "public", "validation", "test"):
        expected = [*getattr(books, group), *(getattr(films, group) + 5)]
        assert getattr(both, group).tolist() == expected, group
    for user in both.private:
        assert both.held_out.items_of(user).tolist() == []
        assert both.train.items_of(user).tolist() == combine(BOTH).interactions.items_of(user).tolist()


@pytest.mark.parametrize("partition", sorted({*PARTITIONS.names()} - {"dirichlet", "attribute"}))
def test_clients_are_those_of_each_platform_alone_and_never_mix_platforms(partition: str) -> None:
    (books, of_books), (films, of_films) = (dealt_out(data, partition=partition, clients=2) for data in BOTH.values())
    federation = combine_federations(PLATFORMS, [of_books, of_films])
    expected = [*map(list, of_books.users), *([user + 5 for user in users] for users in of_films.users)]
    assert [users.tolist() for users in federation.users] == expected
    owners = PLATFORMS.of_clients(federation)
    assert owners.tolist() == [0] * len(of_books) + [1] * len(of_films)
    for users, owner in zip(federation.users, owners, strict=True):
        assert set(PLATFORMS.of_users(users)) == {owner}
    private = combine_splits(PLATFORMS, [books, films]).private
    np.testing.assert_array_equal(np.sort(federation.users.values), private)
    assert federation.names[0] == f"books/{of_books.names[0]}"
    assert federation.names[-1] == f"films/{of_films.names[-1]}"


def test_the_partition_platform_makes_one_client_of_each() -> None:
    federations = [dealt_out(data, partition="platform")[1] for data in BOTH.values()]
    assert [len(federation) for federation in federations] == [1, 1]
    assert list(combine_federations(PLATFORMS, federations).names) == ["books/handmade", "films/handmade"]
