"""The shared cleaning rules, each with its arithmetic."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedrec.core.errors import ConfigError, DataError
from fedrec.data import load
from fedrec.data.clean import clean, fill_missing_texts
from fedrec.data.interactions import Catalogue, Dataset, Users
from fedrec.data.sources.base import DATASETS, Source
from fedrec.data.tables.assemble import Rows, assemble, index_in
from fedrec.experiment.config import DataConfig

ITEMS = Catalogue(["a", "b", "c"], ["A", "B", "C"], ["A", "B", "C"])


def dataset(
    rows: Sequence[tuple[str, str, int, float]], users: Users | None = None, items: Catalogue = ITEMS
) -> Dataset:
    user, item, time, value = zip(*rows, strict=True)
    columns = Rows(pl.Series(user), pl.Series(item), np.array(time), np.array(value, np.float32))
    return assemble("toy", columns, items, users)


def triples(data: Dataset) -> list[tuple[str, str, int]]:
    rows = data.interactions
    return [
        (data.users.ids[u], data.catalogue.ids[i], int(t))
        for u, i, t in zip(rows.user, rows.item, rows.time, strict=True)
    ]


def test_of_a_repeated_pair_the_earliest_stays() -> None:
    data = clean(dataset([("u", "a", 5, 1), ("u", "a", 3, 1), ("u", "b", 4, 1), ("u", "a", 3, 9)]))
    assert triples(data) == [("u", "a", 3), ("u", "b", 4)]
    assert data.interactions.value.tolist() == [1, 1]
    assert data.cleaning == {"repeated_pair_rows": 2}


def test_repeats_are_judged_among_the_rows_that_count() -> None:
    """The first rating of `a`, a 2, is below 4; the later 5 is the one that stays."""
    data = clean(dataset([("u", "a", 1, 2), ("u", "a", 2, 5), ("u", "b", 3, 4)]), min_value=4)
    assert triples(data) == [("u", "a", 2), ("u", "b", 3)]
    assert data.cleaning == {"below_min_value_rows": 1}


def test_min_value_is_compared_at_the_files_precision() -> None:
    assert len(clean(dataset([("u", "a", 1, 0.1)]), min_value=0.1).interactions) == 1


def test_users_with_few_rows_go_and_the_others_are_reindexed() -> None:
    users = Users(["none", "one", "two"], {"town": ["N", "O", "T"]})
    data = clean(dataset([("one", "a", 1, 1), ("two", "a", 1, 1), ("two", "c", 2, 1)], users), min_interactions=2)
    assert (data.users.ids, data.users.attributes) == (["two"], {"town": ["T"]})
    assert data.interactions.items_of(0).tolist() == [0, 2]
    assert (data.interactions.num_users, data.interactions.num_items) == (1, 3)
    assert data.cleaning == {"users_without_rows": 1, "users_with_few_rows": 1, "rows_of_users_with_few_rows": 1}


def test_a_user_left_without_rows_by_another_rule_counts_as_without_rows() -> None:
    data = clean(dataset([("u", "a", 1, 1), ("v", "a", 1, 5)]), min_value=3)
    assert data.users.ids == ["v"]
    assert data.cleaning == {"below_min_value_rows": 1, "users_without_rows": 1}


def test_unknown_items_are_dropped_and_counted() -> None:
    data = dataset([("u", "a", 1, 1), ("u", "z", 2, 1), ("u", "b", 3, 1)])
    assert triples(data) == [("u", "a", 1), ("u", "b", 3)]
    assert data.cleaning == {"unknown_item_rows": 1}


def test_missing_texts_become_title_or_identifier() -> None:
    filled, count = fill_missing_texts(Catalogue(["a", "b", "c"], ["text", " ", ""], ["Ay", "Bee", ""]))
    assert (filled.texts, filled.titles, count) == (["text", "Bee", "c"], ["Ay", "Bee", "c"], 2)


def test_when_nothing_is_left_the_account_is_in_the_message() -> None:
    with pytest.raises(DataError, match=r"no usable interaction.*'below_min_value_rows': 2"):
        clean(dataset([("u", "a", 1, 1), ("u", "b", 2, 1)]), min_value=5)


def test_clean_data_is_left_as_it_is() -> None:
    data = dataset([("u", "a", 1, 1), ("u", "b", 2, 1)])
    assert clean(data).users is data.users
    assert clean(data).cleaning == {}


@pytest.mark.parametrize(
    ("seen", "order"),
    [(["10", "9", "10"], ["9", "10"]), (["b", "10", "a"], ["b", "10", "a"]), (["007", "7"], ["007", "7"])],
)
def test_users_are_ordered_by_number_or_first_appearance(seen: list[str], order: list[str]) -> None:
    assert dataset([(user, "a", 1, 1) for user in seen]).users.ids == order


def test_index_in_marks_the_unknown() -> None:
    assert index_in(["x", "y"], pl.Series(["y", "?", "x", "y"])).tolist() == [1, -1, 0, 1]
    assert index_in([], pl.Series(["y"])).tolist() == [-1]


def test_a_strangers_source_is_loaded_and_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = dataset([("u", "a", 1, 1), ("u", "a", 2, 1), ("u", "b", 3, 1)])
    stranger = Source("stranger", "a plug-in", "free", (), lambda path, config: raw)
    monkeypatch.setattr(DATASETS, "_entries", {"stranger": stranger})
    data = load.load_dataset(DataConfig(name="stranger", path=tmp_path), tmp_path)
    assert (data.terms, data.source) == ("free", str(tmp_path))
    assert data.cleaning == {"repeated_pair_rows": 1}
    assert load.known_sources() == [stranger]


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'movielens-100k'"):
        load.load_dataset(DataConfig(name="movielens-10k"), tmp_path)
