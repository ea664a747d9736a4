"""Columns on disk are looked at, not read; lists in columns are ordinary sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrec.data.columns import RaggedArray, StringColumn, bounds_of, open_column, write_columns
from fedrec.data.interactions import Interactions
from tests.handmade import interactions

ARRAYS = st.lists(st.lists(st.integers(-5, 5), max_size=4).map(lambda values: np.array(values, dtype=np.int64)))


def reopened(folder, rows: Interactions) -> Interactions:
    names = ("bounds", "item", "time", "value")
    write_columns(folder, **{name: getattr(rows, name) for name in names})
    return Interactions(**{name: open_column(folder, name) for name in names}, num_items=rows.num_items)


def test_a_column_larger_than_memory_opens_and_gives_its_last_entry(tmp_path):
    # 64 GiB of zeros as a file with a hole: whoever read it would not come back in a test's time
    write_columns(tmp_path, long=np.zeros(1, dtype=np.int64))
    file = tmp_path / "long.npy"
    written = file.read_bytes()
    assert written.count(b"(1,), }         ") == 1
    with file.open("r+b") as hole:
        hole.write(written.replace(b"(1,), }         ", b"(8589934592,), }"))
        hole.truncate(len(written) - 8 + 8 * 2**33)
    column = open_column(tmp_path, "long")
    assert len(column) == 2**33
    assert column[-1] == 0


def test_a_column_is_mapped_and_cannot_be_written(tmp_path):
    write_columns(tmp_path, item=np.arange(3))
    column = open_column(tmp_path, "item")
    assert isinstance(column.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 7


def test_a_history_is_a_view_of_its_own_rows_on_disk(tmp_path):
    rows = reopened(tmp_path, interactions([[3, 1], [], [2, 0, 2]]))
    assert [rows.items_of(user).tolist() for user in range(3)] == [[3, 1], [], [2, 0, 2]]
    assert np.shares_memory(rows.items_of(2), rows.item)
    assert "user" not in vars(rows)  # the one column that is as long as the table and made, not mapped
    assert rows.user.tolist() == [0, 0, 2, 2, 2]
    assert rows.lengths_of(np.array([2, 1])).tolist() == [3, 0]


@pytest.mark.parametrize("sequences", [[], [[]], [[], []]])
def test_a_table_without_rows_is_a_table(tmp_path, sequences):
    rows = reopened(tmp_path, interactions(sequences))
    assert (len(rows), rows.num_users, len(rows.user)) == (0, len(sequences), 0)
    assert all(len(rows.items_of(user)) == 0 for user in range(len(sequences)))
    assert len(rows.of_users(np.arange(len(sequences)))) == 0


@given(ARRAYS)
def test_slices_are_the_arrays_they_were_made_of(arrays):
    slices = RaggedArray.of(arrays)
    assert [one.tolist() for one in slices] == [one.tolist() for one in arrays]
    assert slices.lengths.tolist() == [len(one) for one in arrays]
    assert slices.bounds.tolist() == bounds_of(slices.lengths).tolist()
    assert slices.values.dtype == np.int64


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_are_the_strings_they_were_made_of(strings):
    assert list(StringColumn.of(strings)) == strings


def test_a_lazy_list_counts_from_its_end_and_ends():
    names = StringColumn.of(["zero", "", "zwei"])
    assert (names[-1], names[1:], len(names)) == ("zwei", ["", "zwei"], 3)
    assert "zwei" in names
    with pytest.raises(IndexError):
        names[3]
