"""Metrics by hand arithmetic, and against ranx."""

import math

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.metrics.accuracy import (
    METRICS,
    average_precision_at,
    hit_rate_at,
    mean_over_users,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)


def ranks(*values):
    return np.array(values, dtype=np.int64)


def test_ndcg_discounts_each_rank_and_divides_by_the_ideal():
    dcg = 1 / math.log2(1 + 1) + 1 / math.log2(3 + 1)  # relevant at 1 and 3; the one at 12 is cut off
    ideal = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)  # three relevant items, all in front
    assert ndcg_at(ranks(3, 12, 1), 10) == pytest.approx(dcg / ideal)


def test_ndcg_is_one_when_the_whole_list_is_relevant_though_more_items_are():
    assert ndcg_at(ranks(1, 2, 3, 50), 3) == pytest.approx(1.0)


def test_ndcg_of_one_item_at_rank_two():
    assert ndcg_at(ranks(2), 10) == pytest.approx(1 / math.log2(3))


def test_recall_is_of_all_relevant_items():
    assert recall_at(ranks(1, 2, 3, 4), 2) == 2 / 4


def test_hit_rate_needs_one_hit():
    assert hit_rate_at(ranks(10, 11), 10) == 1.0
    assert hit_rate_at(ranks(11, 12), 10) == 0.0


def test_reciprocal_rank_is_of_the_first_hit():
    assert reciprocal_rank(ranks(9, 4), 10) == 1 / 4
    assert reciprocal_rank(ranks(11), 10) == 0.0


def test_average_precision_sums_the_precision_at_each_hit():
    # hits at 2 and 5: precision 1/2 and 2/5; the third relevant item is cut off but counts below the line
    assert average_precision_at(ranks(5, 2, 30), 10) == pytest.approx((1 / 2 + 2 / 5) / 3)


def test_average_precision_of_a_perfect_short_list_is_its_share_of_the_relevant():
    assert average_precision_at(ranks(1, 2, 3, 4), 2) == pytest.approx((1 / 1 + 2 / 2) / 4)


@pytest.mark.parametrize("name", METRICS.names())
def test_a_user_without_relevant_items_is_nan(name):
    assert math.isnan(METRICS.get(name)(ranks(), 10))


@pytest.mark.parametrize("name", METRICS.names())
@pytest.mark.parametrize("relevant", [ranks(), ranks(1, 2)])
@pytest.mark.parametrize("k", [0, -1])
def test_a_cutoff_below_one_is_refused(name, relevant, k):
    with pytest.raises(ConfigError, match=f"at least 1, got k={k}"):
        METRICS.get(name)(relevant, k)


def test_users_without_a_value_are_not_averaged():
    assert mean_over_users(np.array([0.5, np.nan, 1.0])) == (0.5 + 1.0) / 2
    assert math.isnan(mean_over_users(np.array([np.nan])))
    assert math.isnan(mean_over_users(np.array([])))


def test_metrics_agree_with_ranx(monkeypatch):
    # compiling ranx takes a minute, running it as plain Python a moment
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", True)
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    # (items ranked, relevant ranks): several relevant, none within k, fewer items than k, more relevant than k
    users = [(3, [1, 3]), (1, [1]), (60, [11, 40]), (60, [60]), (60, list(range(5, 30)))]
    users += [(50, list(rng.choice(50, size=int(rng.integers(1, 15)), replace=False) + 1)) for _ in range(15)]
    qrels = {f"u{u:02}": {f"i{rank:02}": 1 for rank in relevant} for u, (_, relevant) in enumerate(users)}
    run = {
        f"u{u:02}": {f"i{rank:02}": float(size - rank) for rank in range(1, size + 1)}
        for u, (size, _) in enumerate(users)
    }
    asked = [f"{name}@{k}" for name in ("ndcg", "recall", "hit_rate", "mrr", "map") for k in (1, 10)]
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), asked, return_mean=False)
    for metric in asked:
        name, k = metric.split("@")
        ours = [METRICS.get(name)(ranks(*relevant), int(k)) for _, relevant in users]
        np.testing.assert_allclose(ours, theirs[metric], atol=1e-12, err_msg=metric)
