"""Training examples, written out: windows, prefixes, padding, a single interaction."""

import numpy as np
import pytest

from fedrec.tasks import open_task
from fedrec.tasks.windows import IGNORED, windows
from tests.handmade import experiment, interactions

SEQUENCES = ([0, 1, 2, 3, 4], [5], [6, 6], [])
RNG = np.random.default_rng(0)
NOTHING = np.empty(0, dtype=np.int64)


def task(kind: str, window: int = 3):
    return open_task(experiment(training={"example": kind}, model={"window": window}))


def examples(kind: str, window: int, users=(0, 1, 2, 3)):
    return task(kind, window).examples(interactions(SEQUENCES), np.array(users, dtype=np.int64))


def written(drawn):
    batch = task("sequence").collate(drawn)
    return [batch[name].tolist() for name in ("history", "target")]


def test_a_sequence_predicts_the_next_item_at_every_position():
    history, target = written(examples("sequence", window=10).cut(np.array([0, 1]), RNG))
    assert history == [[0, 1, 2, 3], [6, 0, 0, 0]]
    assert target == [[1, 2, 3, 4], [6, IGNORED, IGNORED, IGNORED]]


def test_a_user_with_fewer_than_two_interactions_has_no_example():
    assert len(examples("sequence", window=10)) == 2
    assert len(examples("sequence", window=10, users=(1, 3))) == 0
    assert len(examples("prefix", window=10, users=(1, 3))) == 0


@pytest.mark.parametrize("kind", ["sequence", "prefix"])
@pytest.mark.parametrize("users", [(0, 1, 2, 3), (2, 0), (1, 3), ()])
def test_examples_are_counted_without_being_cut(kind, users):
    lengths = interactions(SEQUENCES).lengths_of(np.array(users, dtype=np.int64))
    assert task(kind).count(lengths).sum() == len(examples(kind, window=3, users=users))


def test_a_long_sequence_gives_one_window_of_it_and_every_window_comes_up():
    # five items, window 2: two positions and their targets end at item 2, 3 or 4
    drawn = examples("sequence", window=2).cut(np.zeros(200, dtype=np.int64), RNG)
    rows = {(*history, target[-1]) for history, target in zip(*written(drawn), strict=True)}
    assert rows == {(0, 1, 2), (1, 2, 3), (2, 3, 4)}


def test_all_windows_cover_every_target_and_the_last_one_ends_with_the_last_row():
    # window 2: five items have four targets, two windows; of three items and of two there is one
    every = open_task(experiment(training={"windows": "all"}, model={"window": 2}))
    rows = interactions(([0, 1, 2, 3, 4], [5], [6, 5, 4], [3, 3]))
    found = every.examples(rows, np.arange(4))
    assert found.owner.tolist() == [0, 0, 1, 2]
    drawn = [written(found.cut(np.array([row]), RNG)) for row in [0] * 50 + [1] * 50]
    ends = [(*history[0], target[0][-1]) for history, target in drawn]
    assert set(ends[:50]) == {(2, 3, 4)}
    assert set(ends[50:]) == {(0, 1, 2), (1, 2, 3)}  # its piece are targets 1 and 2; one of index 1 would not be full
    assert every.count(rows.lengths_of(np.arange(4))).tolist() == [2, 0, 1, 1]
    assert every.positions(rows.lengths_of(np.arange(4))).tolist() == [4, 0, 2, 1]


@pytest.mark.parametrize("targets", range(1, 12))
def test_windows_of_any_sequence_are_full_and_leave_no_target_out(targets):
    found = windows(interactions([range(targets + 1)], 12), np.array([0]), 3, whole=True, every=True)
    covered = set()
    for low, high in zip(found.lowest.tolist(), found.end.tolist(), strict=True):
        assert min(targets, 3) <= low <= high <= targets
        covered |= {target for end in range(low, high + 1) for target in range(max(1, end - 2), end + 1)}
    assert covered == set(range(1, targets + 1))
    assert len(found) == -(-targets // 3)


@pytest.mark.parametrize("kind", ["sequence", "prefix"])
def test_who_is_judged_is_judged_on_the_last_window_whatever_was_trained_on(kind):
    judged = task(kind, window=2).judged(interactions(SEQUENCES), np.arange(4))
    assert written(judged) == [[[2, 3], [6, 0]], [[3, 4], [6, IGNORED]]]
    assert task(kind).judged(interactions(SEQUENCES), np.array([1, 3])) == []


def test_a_user_is_covered_by_windows_end_to_end():
    covered = task("sequence", window=3).cover(interactions(SEQUENCES), 0)
    assert written(covered) == [[[1, 2, 3], [0, 0, 0]], [[2, 3, 4], [1, IGNORED, IGNORED]]]
    assert task("sequence").cover(interactions(SEQUENCES), 1) == []


def test_windows_know_their_users_place_and_their_values():
    drawn = examples("prefix", window=2, users=(3, 2, 0)).cut(np.arange(5), RNG)
    assert [window.user for window in drawn] == [1, 2, 2, 2, 2]
    assert all(len(window.values) == len(window.items) for window in drawn)


def test_a_prefix_predicts_its_next_item_only():
    history, target = written(examples("prefix", window=3).cut(np.arange(5), RNG))
    assert history == [[0, 0, 0], [0, 1, 0], [0, 1, 2], [1, 2, 3], [6, 0, 0]]
    assert target == [
        [1, IGNORED, IGNORED],
        [IGNORED, 2, IGNORED],
        [IGNORED, IGNORED, 3],
        [IGNORED, IGNORED, 4],
        [6, IGNORED, IGNORED],
    ]


@pytest.mark.parametrize("kind", ["sequence", "prefix"])
def test_an_empty_batch_has_no_rows(kind):
    history, target = written(examples(kind, window=3).cut(NOTHING, RNG))
    assert len(history) == len(target) == 0


def test_a_window_of_one_sees_the_item_before():
    assert written(examples("prefix", window=1).cut(np.array([3]), RNG)) == [[[3]], [[4]]]
