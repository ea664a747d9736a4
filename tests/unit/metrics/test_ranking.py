"""The ranking protocol on catalogues small enough to rank by hand."""

import json
import math

import numpy as np
import pytest

from fedrec.core.errors import ConfigError, DataError, FedrecError
from fedrec.core.seeding import rng_for
from fedrec.data.split import Cases
from fedrec.metrics.ranking import evaluate


def cases(histories, targets):
    return Cases(
        name="last20",
        users=np.arange(len(histories)) + 100,
        histories=[np.array(history, dtype=np.int64) for history in histories],
        targets=[np.array(target, dtype=np.int64) for target in targets],
        excluded=0,
    )


def score_all(*row):
    return lambda queries: np.tile(np.array(row, dtype=np.float32), (len(queries), 1))


def run(scorer, held_out, num_items, cutoffs=(1, 3), **options):
    return evaluate(scorer, held_out, num_items, cutoffs, counts=np.ones(num_items, dtype=np.int64), **options)


def test_the_history_is_not_ranked():
    # scores put 0 > 1 > 2 > 3; with 0 and 1 seen, target 2 is first and target 3 second
    done = run(score_all(4, 3, 2, 1), cases([[0, 1], [0, 1]], [[2], [3]]), 4)
    np.testing.assert_allclose(done.per_user["ndcg@3"], [1.0, 1 / math.log2(3)])
    np.testing.assert_array_equal(done.per_user["hit_rate@1"], [1.0, 0.0])
    assert done.means["mrr@3"] == pytest.approx((1 / 1 + 1 / 2) / 2)


def test_lists_hold_the_best_unseen_items_and_end_when_none_is_left():
    done = run(score_all(4, 3, 2, 1), cases([[0, 1], [3]], [[2], [0]]), 4)
    np.testing.assert_array_equal(done.recommended, [[2, 3, -1], [0, 1, 2]])


def test_a_cutoff_beyond_the_catalogue_ranks_what_there_is():
    done = run(score_all(2, 1, 0), cases([[0]], [[2]]), 3, cutoffs=(50,))
    np.testing.assert_array_equal(done.recommended, [[1, 2, -1]])
    assert done.means["recall@50"] == 1.0


def test_equal_scores_follow_the_stated_order_of_items():
    rng = np.random.default_rng(0)
    rows = rng.choice([-2.5, -1.0, -0.0, 0.0, 1e-30, 3.0], size=(20, 30)).astype(np.float32)
    place = np.argsort(rng_for(0, "ties").permutation(30))
    done = run(lambda queries: rows[: len(queries)], cases([[0]] * 20, [[1]] * 20), 30, cutoffs=(30,))
    for row, ranked in zip(rows, done.recommended, strict=True):
        expected = sorted(range(1, 30), key=lambda item: (-row[item], place[item]))
        np.testing.assert_array_equal(ranked, [*expected, -1])


def test_a_constant_scorer_does_about_as_well_as_chance():
    num_items, rng = 200, np.random.default_rng(0)
    drawn = [rng.choice(num_items, size=2, replace=False) for _ in range(2_000)]
    held_out = cases([pair[:1] for pair in drawn], [pair[1:] for pair in drawn])
    chance = 10 / 199  # ten places among the 199 unseen items
    done = run(score_all(*[7.0] * num_items), held_out, num_items, cutoffs=(10,))
    assert done.means["hit_rate@10"] == pytest.approx(chance, abs=4 * math.sqrt(chance / 2_000))


def test_a_scorer_that_repeats_the_history_gains_nothing():
    def parrot(queries):
        scores = np.zeros((len(queries), 50), dtype=np.float32)
        for row, history in zip(scores, queries.histories, strict=True):
            row[history] = 1e6
        return scores

    held_out = cases([[0, 1, 2], [3, 4]], [[5, 6], [7]])
    leaking, constant = run(parrot, held_out, 50), run(score_all(*[0.0] * 50), held_out, 50)
    np.testing.assert_array_equal(leaking.recommended, constant.recommended)
    assert leaking.means == constant.means


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_name_the_user(bad):
    def broken(queries):
        scores = np.zeros((len(queries), 4), dtype=np.float32)
        scores[1, 0] = bad
        return scores

    with pytest.raises(FedrecError, match=r"scores of user 101 .*nan or infinite"):
        run(broken, cases([[0], [0]], [[1], [1]]), 4)


def test_scores_of_the_wrong_shape_are_refused():
    with pytest.raises(FedrecError, match=r"shape \(1, 4\), got \(1, 3\)"):
        run(score_all(1, 2, 3), cases([[0]], [[1]]), 4)


@pytest.mark.parametrize("targets", [[0], [2, 2]])
def test_a_target_that_is_repeated_or_in_the_history_is_refused(targets):
    with pytest.raises(DataError, match=r"user 100 .*repeated or already in the history"):
        run(score_all(1, 2, 3), cases([[0]], [targets]), 3)


def test_nobody_to_rank_or_no_possible_cutoff_is_refused():
    with pytest.raises(ConfigError, match="no held-out user to rank in 'last20'"):
        run(score_all(1, 2, 3), cases([], []), 3)
    with pytest.raises(ConfigError, match="no cut-off"):
        run(score_all(1, 2, 3), cases([[0]], [[1]]), 3, cutoffs=())
    with pytest.raises(ConfigError, match="got k=0"):
        run(score_all(1, 2, 3), cases([[0]], [[1]]), 3, cutoffs=(5, 0))


def test_progress_counts_users():
    told = []
    run(
        score_all(1, 2, 3),
        cases([[0]] * 5, [[1]] * 5),
        3,
        batch_size=2,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_the_summary_is_plain_json_and_leaves_undefined_values_out():
    vectors = np.eye(4, dtype=np.float32)
    done = run(score_all(4, 3, 2, 1), cases([[0]], [[1]]), 4, cutoffs=(1, 2), item_vectors=vectors)
    summary = json.loads(json.dumps(done.to_json(), allow_nan=False))
    assert summary["users"] == 1
    assert summary["ndcg@1"] == 1.0
    assert summary["coverage@2"] == 2 / 4
    assert summary["diversity@2"] == 1.0
    assert "diversity@1" not in summary  # a list of one item has no pair
