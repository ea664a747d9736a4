"""Laws of the interaction table and its cleaning, on any rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedrec.core.errors import DataError
from fedrec.data.clean import clean
from fedrec.data.interactions import Catalogue, Dataset, Interactions, Users

USERS, ITEMS = 5, 6
ROW = st.tuples(
    st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 5.0])
)


def table(rows: list[tuple[int, int, int, float]]) -> Interactions:
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4)
    user, item, time = columns[:, :3].T.astype(np.int64)
    return Interactions.from_rows(user, item, time, columns[:, 3].astype(np.float32), USERS, ITEMS)


def dataset(rows: list[tuple[int, int, int, float]]) -> Dataset:
    items = [str(item) for item in range(ITEMS)]
    users = [str(user) for user in range(USERS)]
    return Dataset("any", table(rows), Catalogue(items, items, items), Users(users, {"name": users}))


def as_rows(rows: Interactions) -> list[tuple[int, int, int, float]]:
    return list(zip(rows.user.tolist(), rows.item.tolist(), rows.time.tolist(), rows.value.tolist(), strict=True))


@given(st.lists(ROW, max_size=30))
def test_rows_are_sorted_stably_by_user_and_time(rows: list[tuple[int, int, int, float]]) -> None:
    assert as_rows(table(rows)) == sorted(rows, key=lambda row: (row[0], row[2]))


@given(st.lists(ROW, max_size=30))
def test_histories_partition_the_rows(rows: list[tuple[int, int, int, float]]) -> None:
    whole = table(rows)
    assert np.concatenate([whole.items_of(user) for user in range(USERS)]).tolist() == whole.item.tolist()
    parts = [whole.of_users(np.array([user])) for user in range(USERS)]
    assert [row for part in parts for row in as_rows(part)] == as_rows(whole)


@given(st.lists(ROW, min_size=1, max_size=30), st.sampled_from([None, 1.0, 5.0]), st.integers(1, 4))
def test_cleaning_keeps_its_promises(
    rows: list[tuple[int, int, int, float]], min_value: float | None, least: int
) -> None:
    raw = dataset(rows)
    try:
        cleaned = clean(raw, min_value, least)
    except DataError:
        # Refused: then no user has `least` distinct items among the rows that count.
        pairs = {(user, item) for user, item, _, value in rows if value >= (min_value or 0)}
        assert max(sum(owner == user for owner, _ in pairs) for user in range(USERS)) < least
        return
    kept = cleaned.interactions
    pairs_kept = list(zip(kept.user.tolist(), kept.item.tolist(), strict=True))
    assert len(set(pairs_kept)) == len(pairs_kept)
    assert np.bincount(kept.user, minlength=len(cleaned.users)).min() >= least
    assert kept.num_users == len(cleaned.users)
    assert list(cleaned.users.ids) == list(cleaned.users.attributes["name"])
    assert min_value is None or kept.value.min() >= min_value
    removed = sum(count for rule, count in cleaned.cleaning.items() if rule.endswith("_rows") and "users_w" not in rule)
    few = cleaned.cleaning.get("rows_of_users_with_few_rows", 0)
    assert len(kept) + removed + few == len(rows)
    named = [(int(cleaned.users.ids[user]), *rest) for user, *rest in as_rows(kept)]
    assert set(named) <= set(rows)


@given(st.lists(ROW, min_size=1, max_size=30))
def test_cleaning_twice_is_cleaning_once(rows: list[tuple[int, int, int, float]]) -> None:
    once = clean(dataset(rows))
    twice = clean(once)
    assert as_rows(twice.interactions) == as_rows(once.interactions)
    assert twice.cleaning == once.cleaning
