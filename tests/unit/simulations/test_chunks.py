"""How work is put together: chunks of clients, blocks of examples, and how little of it is padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrec.tasks import open_task
from fedrec.tasks.windows import IGNORED, Window
from fedrec.training.blocks import MOST_PADDING, groups_of, padding
from simulations.engine.chunks import ChunkSize, chunks_of
from tests.handmade import experiment

LENGTHS = st.lists(st.lists(st.integers(2, 51), max_size=20), min_size=1, max_size=12)

SIZE = ChunkSize()


TASK = open_task(experiment())


def batches(lengths, *, whole=True):
    """Return windows of unlike items, so that each can be recognised."""
    made = iter(range(10**6))
    return [
        [
            Window(np.array([next(made) for _ in range(length)]), np.ones(length), 0 if whole else length - 2, 0)
            for length in client
        ]
        for client in lengths
    ]


@given(lengths=LENGTHS, most_rows=st.sampled_from([1, 4, 16]), whole=st.booleans())
def test_every_example_is_computed_once_for_its_own_client(lengths, most_rows, whole):
    drawn = batches(lengths, whole=whole)
    found = []
    for group in groups_of(TASK, drawn, 400, most_rows=most_rows):
        blocks, rows, _ = group.batch["history"].shape
        assert rows <= most_rows
        assert rows & (rows - 1) == 0
        for block in range(blocks):
            for history, target in zip(group.batch["history"][block], group.batch["target"][block], strict=True):
                last = int((target != IGNORED).nonzero()[-1])
                found.append((int(group.owner[block]), [*history[: last + 1].tolist(), int(target[last])]))
                assert int((target != IGNORED).sum()) == (last + 1 if whole else 1)
    wanted = [(owner, window.items.tolist()) for owner, windows in enumerate(drawn) for window in windows]
    assert sorted(found) == sorted(wanted)


@given(lengths=LENGTHS, most_rows=st.sampled_from([1, 16]))
def test_no_group_is_more_padding_than_is_allowed(lengths, most_rows):
    groups = list(groups_of(TASK, batches(lengths), 400, most_rows=most_rows))
    for group in groups:
        assert (group.batch["target"] != IGNORED).double().mean() >= 1 - MOST_PADDING - 1e-9
    positions = sum(length - 1 for client in lengths for length in client)
    assert 0 <= padding(groups, positions) <= MOST_PADDING + 1e-9


def test_padding_of_nothing_is_none():
    assert padding([], 0) == 0.0
    assert list(groups_of(TASK, [[], []], 400)) == []


def test_eleven_alike_are_blocks_of_eight_two_and_one():
    groups = list(groups_of(TASK, batches([[10] * 11]), 400))
    assert [tuple(group.batch["history"].shape) for group in groups] == [(1, 8, 9), (1, 2, 9), (1, 1, 9)]


@given(sizes=st.lists(st.integers(0, 20_000), max_size=200), first=st.integers(0, 9))
def test_chunks_hold_every_client_once_the_largest_first_whatever_order_they_come_in(sizes, first):
    clients = [first + 3 * i for i in range(len(sizes))]
    chunks = chunks_of(clients, np.array(sizes, dtype=np.int64), SIZE)
    assert sorted(client for chunk in chunks for client in chunk) == clients
    size = dict(zip(clients, sizes, strict=True))
    in_order = [size[client] for chunk in chunks for client in chunk]
    assert in_order == sorted(in_order, reverse=True)
    for chunk in chunks:
        assert len(chunk) <= SIZE.clients
        assert len(chunk) == 1 or sum(size[client] for client in chunk) <= SIZE.positions
    assert chunks_of(clients[::-1], np.array(sizes[::-1], dtype=np.int64), SIZE) == chunks


@pytest.mark.parametrize(("cohort", "chunks"), [(0, 0), (1, 1), (32, 1), (64, 2), (128, 4), (256, 4), (1000, 16)])
def test_a_cohort_of_small_clients_is_cut_by_their_number(cohort, chunks):
    assert len(chunks_of(range(cohort), np.full(cohort, 50), SIZE)) == chunks
