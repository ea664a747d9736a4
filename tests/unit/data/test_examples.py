"""Training examples, written out: windows, prefixes, padding, a single interaction."""

import numpy as np
import pytest

from fedrec.data.examples import IGNORED, count_examples, examples_of
from fedrec.experiment.config import TrainingConfig
from tests.handmade import interactions

SEQUENCES = ([0, 1, 2, 3, 4], [5], [6, 6], [])
RNG = np.random.default_rng(0)
NOTHING = np.empty(0, dtype=np.int64)


def examples(example: str, window: int, users=(0, 1, 2, 3)):
    return examples_of(interactions(SEQUENCES), np.array(users), TrainingConfig(example=example), window)


def written(tensors):
    return [tensor.tolist() for tensor in tensors]


def test_a_sequence_predicts_the_next_item_at_every_position():
    history, target = written(examples("sequence", window=10).batch(np.array([0, 1]), RNG))
    assert history == [[0, 1, 2, 3], [6, 0, 0, 0]]
    assert target == [[1, 2, 3, 4], [6, IGNORED, IGNORED, IGNORED]]


def test_a_user_with_fewer_than_two_interactions_has_no_example():
    assert len(examples("sequence", window=10)) == 2
    assert len(examples("sequence", window=10, users=(1, 3))) == 0
    assert len(examples("prefix", window=10, users=(1, 3))) == 0


@pytest.mark.parametrize("kind", ["sequence", "prefix"])
@pytest.mark.parametrize("users", [(0, 1, 2, 3), (2, 0), (1, 3), ()])
def test_examples_are_counted_without_being_cut(kind, users):
    chosen = np.array(users, dtype=np.int64)
    counted = count_examples(interactions(SEQUENCES), chosen, TrainingConfig(example=kind))
    assert counted == len(examples(kind, window=3, users=chosen))


def test_a_long_sequence_gives_one_window_of_it_and_every_window_comes_up():
    # five items, window 2: two positions and their targets end at item 2, 3 or 4
    drawn = examples("sequence", window=2).batch(np.zeros(200, dtype=np.int64), RNG)
    rows = {(*history, target[-1]) for history, target in zip(*written(drawn), strict=True)}
    assert rows == {(0, 1, 2), (1, 2, 3), (2, 3, 4)}


def test_the_last_window_is_no_draw():
    assert written(examples("sequence", window=2).last_windows(np.array([0]))) == [[[2, 3]], [[3, 4]]]


def test_a_prefix_predicts_its_next_item_only():
    history, target = written(examples("prefix", window=3).batch(np.arange(5), RNG))
    assert history == [[0, 0, 0], [0, 1, 0], [0, 1, 2], [1, 2, 3], [6, 0, 0]]
    assert target == [
        [1, IGNORED, IGNORED],
        [IGNORED, 2, IGNORED],
        [IGNORED, IGNORED, 3],
        [IGNORED, IGNORED, 4],
        [6, IGNORED, IGNORED],
    ]


def test_prefixes_as_sequences_are_the_rows_they_were_cut_from():
    one, other = (examples(kind, window=3) for kind in ("sequence", "prefix"))
    assert written(other.sequences().last_windows(np.array([0, 1]))) == written(one.last_windows(np.array([0, 1])))
    assert len(examples("prefix", window=3, users=(1,)).sequences()) == 0


@pytest.mark.parametrize("kind", ["sequence", "prefix"])
def test_an_empty_batch_has_no_rows(kind):
    history, target = examples(kind, window=3).batch(NOTHING, RNG)
    assert len(history) == len(target) == 0


def test_a_window_of_one_sees_the_item_before():
    assert written(examples("prefix", window=1).batch(np.array([3]), RNG)) == [[[3]], [[4]]]
