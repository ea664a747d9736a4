"""Re-ranked lists by hand, and against the method as its paper writes it."""

import math

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.data.platform import Platforms
from fedrec.data.split import Cases
from fedrec.evaluation.reranking import RERANKERS
from fedrec.evaluation.reranking.base import Candidates, choose, reranked
from fedrec.evaluation.reranking.price import Asked
from fedrec.metrics.beyond_accuracy import kinds_of
from fedrec.metrics.evaluation import Judged
from fedrec.metrics.ranking import evaluate

ITEMS = 12
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(ITEMS, 3)).astype(np.float32)
KINDS = kinds_of([["a", "a|b", "b", "c", "b|c", ""][item % 6] for item in range(ITEMS)], "kind")
KNOWN = Judged(ITEMS, (1, 3), counts=np.ones(ITEMS), item_vectors=VECTORS, kinds=KINDS)
ONE = Platforms(("data",), np.array([0, ITEMS]), np.array([0, 20]))


def cases(users=20):
    shuffles = [RNG.permutation(ITEMS) for _ in range(users)]
    return Cases("last20", np.arange(users), [own[:3] for own in shuffles], [own[3:5] for own in shuffles], 0)


def fixed(scores):
    return lambda queries: scores[queries.users]


def judged_by(scorer, held_out):
    known = {"counts": KNOWN.counts, "item_vectors": VECTORS, "kinds": KINDS}
    return evaluate(scorer, held_out, ITEMS, (3, ITEMS), **known)


def rerank_by(method, scores, weight, pool=ITEMS, platforms=ONE):
    return reranked(fixed(scores), RERANKERS.get(method)(KNOWN), weight, platforms, 3, pool)


def test_mmr_takes_the_relevant_item_that_is_unlike_the_list():
    # item 1 is a copy of 0, item 2 is unlike it; relevance 1, .9, .5 on a scale from 0 (item 3)
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    reranker = RERANKERS.get("mmr")(Judged(4, (2,), item_vectors=vectors))
    own = Candidates(np.array([3]), np.arange(4), np.array([1.0, 0.9, 0.5, 0.0]))
    penalty = reranker.penalty(own)
    assert penalty([]).tolist() == [0, 0, 0, 0]
    assert penalty([0]) == pytest.approx([1, 1, 0, 1 / math.sqrt(2)])
    # second step: .7 * .9 - .3 * 1 = .33 against .7 * .5 - 0 = .35
    assert choose(own, penalty, 0.3, 2).tolist() == [0, 2]
    assert choose(own, penalty, 0.2, 2).tolist() == [0, 1]  # .72 - .2 = .52 against .4


def test_mmr_agrees_with_the_paper_item_by_item():
    reranker = RERANKERS.get("mmr")(KNOWN)
    relevance = np.sort(RNG.random(ITEMS))[::-1]
    cosine = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in VECTORS] for a in VECTORS]
    for trade in (0.1, 0.5, 0.9):
        chosen = []
        while len(chosen) < 6:
            left = [item for item in range(ITEMS) if item not in chosen]
            worth = {
                i: trade * relevance[i] - (1 - trade) * max((cosine[i][j] for j in chosen), default=0) for i in left
            }
            chosen.append(max(left, key=worth.__getitem__))
        own = Candidates(np.array([0]), np.arange(ITEMS), relevance)
        assert choose(own, reranker.penalty(own), 1 - trade, 6).tolist() == chosen


def test_a_calibrated_list_takes_what_the_history_has_more_of():
    # history: a, b. The best two are both of kind a; with weight .9 the second place goes to kind b
    kinds = kinds_of(["a", "b", "a", "a", "b"], "kind")
    reranker = RERANKERS.get("calibrated")(Judged(5, (2,), kinds=kinds))
    own = Candidates(np.array([0, 1]), np.array([2, 3, 4]), np.array([1.0, 0.9, 0.0]))
    penalty = reranker.penalty(own)
    # p = 1/2, 1/2; a list of kind a alone has q = 1, 0, smoothed .995 and .005
    alone = 0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005)
    assert penalty([]) == pytest.approx([alone] * 3)
    assert penalty([0]) == pytest.approx([alone, alone, 0.0])
    assert choose(own, penalty, 0.9, 2).tolist() == [2, 4]
    assert choose(own, penalty, 0.1, 2).tolist() == [2, 3]  # .9 * .9 - .1 * 1.96 = .61 against 0


def test_who_has_no_kind_keeps_the_list():
    kinds = kinds_of(["", "b", "a"], "kind")
    own = Candidates(np.array([0]), np.array([1, 2]), np.array([1.0, 0.0]))
    assert choose(own, RERANKERS.get("calibrated")(Judged(3, (2,), kinds=kinds)).penalty(own), 0.9, 2).tolist() == [
        1,
        2,
    ]


@pytest.mark.parametrize("method", RERANKERS.names())
def test_with_weight_0_nothing_changes_ties_included(method):
    scores, held_out = RNG.integers(3, size=(20, ITEMS)).astype(np.float32), cases()
    before, after = (judged_by(scorer, held_out) for scorer in (fixed(scores), rerank_by(method, scores, 0.0)))
    np.testing.assert_array_equal(after.recommended, before.recommended)
    assert [own.tolist() for own in after.ranks] == [own.tolist() for own in before.ranks]
    assert after.to_json() == before.to_json()


@pytest.mark.parametrize("method", RERANKERS.names())
def test_a_weight_improves_what_the_method_is_for_and_leaves_the_rest_as_it_stood(method):
    scores, held_out = RNG.normal(size=(20, ITEMS)).astype(np.float32), cases()
    before, after = (judged_by(scorer, held_out) for scorer in (fixed(scores), rerank_by(method, scores, 0.7)))
    reranker = RERANKERS.get(method)(KNOWN)
    old, new = (reranker.values(list(of.recommended[:, :3]), held_out.histories).mean() for of in (before, after))
    assert (new > old) == reranker.higher_is_better
    assert new == pytest.approx(after.lists[f"{reranker.metric}@3"])
    for was, now in zip(before.recommended, after.recommended, strict=True):
        assert sorted(now) == sorted(was)
        behind = [item for item in was if item not in now[:3]]
        np.testing.assert_array_equal(now[3:], behind)


def test_items_beyond_the_candidates_never_enter_the_list():
    scores, held_out = RNG.normal(size=(20, ITEMS)).astype(np.float32), cases()
    best = judged_by(fixed(scores), held_out).recommended[:, :4]
    found = judged_by(rerank_by("mmr", scores, 1.0, pool=4), held_out).recommended[:, :3]
    assert all(set(now) <= set(own) for now, own in zip(found, best, strict=True))


def test_fewer_candidates_than_places_are_all_listed():
    own = Candidates(np.array([0]), np.array([5, 6]), np.array([1.0, 0.0]))
    assert choose(own, RERANKERS.get("mmr")(KNOWN).penalty(own), 0.5, 10).tolist() == [5, 6]


def test_each_platforms_users_get_its_own_items_alone():
    platforms = Platforms(("a", "b"), np.array([0, 6, ITEMS]), np.array([0, 1, 2]))
    held_out = Cases("last20", np.array([0, 1]), [np.array([0]), np.array([6])], [np.array([1]), np.array([7])], 0)
    scores = np.tile(np.arange(ITEMS, dtype=np.float32), (2, 1))
    places = rerank_by("mmr", scores, 0.0, platforms=platforms)(held_out.queries(slice(None)))
    assert places[0, 1:6].tolist() == [-4, -3, -2, -1, 0]
    assert places[1, 7:].tolist() == [-4, -3, -2, -1, 0]


def test_what_a_method_reads_must_be_known():
    with pytest.raises(ConfigError, match="reads no text; use --method calibrated"):
        RERANKERS.get("mmr")(Judged(3, (2,)))
    with pytest.raises(ConfigError, match=r"evaluation\.kinds"):
        RERANKERS.get("calibrated")(Judged(3, (2,)))
    with pytest.raises(ConfigError, match="unknown re-ranking method 'mmmr'; did you mean 'mmr'"):
        RERANKERS.get("mmmr")


def test_weights_lie_between_0_and_1_and_one_is_above_0():
    assert Asked("mmr", (0.5, 0.0, 0.1, 0.5), 0.05, 100).weights == (0.1, 0.5)
    for weights, found in (((1.5,), "weight 1.5"), ((-1.0, 0.5), "weight -1"), ((0.0,), "no weight above 0")):
        with pytest.raises(ConfigError, match=found):
            Asked("mmr", weights, 0.05, 100)
    with pytest.raises(ConfigError, match="weight nan"):
        Asked("mmr", (math.nan,), 0.05, 100)
