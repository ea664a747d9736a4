"""What holds of every metric and every evaluation, whatever the ranking."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrec.data.interactions import Interactions
from fedrec.data.split import Cases
from fedrec.evaluation.controls.uninformed import popularity_scorer, random_scorer
from fedrec.evaluation.statistics.significance import holm
from fedrec.metrics.accuracy import METRICS
from fedrec.metrics.ranking import evaluate
from tests.handmade import queries

NUM_ITEMS = 12
relevant_ranks = st.lists(st.integers(1, 40), min_size=1, max_size=12, unique=True)
cutoffs = st.integers(1, 45)


@st.composite
def held_out(draw):
    """One to six users; each shuffles the catalogue, sees a part and goes on to choose another."""
    shuffles = draw(st.lists(st.permutations(range(NUM_ITEMS)), min_size=1, max_size=6))
    cuts = [sorted(draw(st.sets(st.integers(0, NUM_ITEMS), min_size=2, max_size=2))) for _ in shuffles]
    return Cases(
        name="last20",
        users=np.arange(len(shuffles)),
        histories=[np.array(items[:seen], dtype=np.int64) for items, (seen, _) in zip(shuffles, cuts, strict=True)],
        targets=[np.array(items[seen:end], dtype=np.int64) for items, (seen, end) in zip(shuffles, cuts, strict=True)],
        excluded=0,
    )


def run(scorer, cases, batch_size=256):
    return evaluate(
        scorer,
        cases,
        NUM_ITEMS,
        (1, 3, 20),
        counts=np.arange(NUM_ITEMS),
        item_vectors=np.eye(NUM_ITEMS, dtype=np.float32),
        kinds=np.eye(NUM_ITEMS)[:, :4],
        batch_size=batch_size,
    )


def assert_same(one, other):
    assert one.to_json() == pytest.approx(other.to_json(), abs=1e-12)
    assert one.to_json().keys() == other.to_json().keys()


@pytest.mark.parametrize("name", METRICS.names())
@given(ranks=relevant_ranks, k=cutoffs)
def test_a_metric_is_bounded_and_blind_to_the_order_of_the_ranks(name, ranks, k):
    value = METRICS.get(name)(np.array(ranks), k)
    assert 0.0 <= value <= 1.0 + 1e-12
    assert METRICS.get(name)(np.array(ranks[::-1]), k) == value


@pytest.mark.parametrize("name", METRICS.names())
@given(ranks=relevant_ranks, k=cutoffs, moved=st.integers(0, 11), up=st.integers(1, 39))
def test_a_metric_does_not_fall_when_a_relevant_item_moves_up(name, ranks, k, moved, up):
    index = moved % len(ranks)
    target = ranks[index] - up
    assume(target >= 1 and target not in ranks)
    better = [*ranks[:index], target, *ranks[index + 1 :]]
    metric = METRICS.get(name)
    assert metric(np.array(better), k) >= metric(np.array(ranks), k) - 1e-12


@settings(max_examples=30, deadline=None)
@given(cases=held_out(), batch_size=st.integers(1, 7))
def test_an_evaluation_does_not_depend_on_the_batch_size(cases, batch_size):
    scorer = random_scorer(0, NUM_ITEMS)
    assert_same(run(scorer, cases), run(scorer, cases, batch_size))


@settings(max_examples=30, deadline=None)
@given(cases=held_out(), data=st.data())
def test_an_evaluation_does_not_depend_on_the_order_of_users(cases, data):
    order = data.draw(st.permutations(range(len(cases.users))))
    shuffled = Cases(
        name=cases.name,
        users=cases.users[order],
        histories=[cases.histories[index] for index in order],
        targets=[cases.targets[index] for index in order],
        excluded=0,
    )
    one, other = (run(random_scorer(0, NUM_ITEMS), each) for each in (cases, shuffled))
    assert_same(one, other)
    for name, values in one.per_user.items():
        np.testing.assert_array_equal(values[order], other.per_user[name])


@settings(max_examples=30, deadline=None)
@given(cases=held_out())
def test_only_the_order_of_scores_counts(cases):
    scorer = random_scorer(0, NUM_ITEMS)
    assert_same(run(scorer, cases), run(lambda queries: scorer(queries) * 8 - 16, cases))


@settings(max_examples=30, deadline=None)
@given(cases=held_out())
def test_lists_hold_each_unseen_item_once(cases):
    for row, history in zip(run(random_scorer(0, NUM_ITEMS), cases).recommended, cases.histories, strict=True):
        assert sorted(row[row >= 0]) == sorted(set(range(NUM_ITEMS)) - set(history.tolist()))


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, NUM_ITEMS - 1)), min_size=1), data=st.data())
def test_popularity_does_not_depend_on_the_order_of_rows(rows, data):
    def train(pairs):
        user, item = np.array(pairs, dtype=np.int64).T
        ones = np.ones(len(pairs), dtype=np.float32)
        return Interactions.from_rows(user, item, np.arange(len(pairs)), ones, 5, NUM_ITEMS)

    history = queries([[0]])
    shuffled = data.draw(st.permutations(rows))
    np.testing.assert_array_equal(popularity_scorer(train(rows))(history), popularity_scorer(train(shuffled))(history))


@given(p_values=st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_makes_anything_more_significant_nor_reorders(p_values):
    corrected = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)
