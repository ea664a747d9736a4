"""What one validation user adds to a released sum: by hand, and at worst by looking at extreme users."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import chi2

from fedrec.core.errors import PrivacyError
from fedrec.core.seeding import rng_for
from fedrec.evaluation.validation.contributions import (
    GAIN_BOUND,
    changes_as,
    gains_as,
    losses_as,
    ranks_as,
    scores_as,
)
from fedrec.evaluation.validation.noisy_sums import NoisySums
from fedrec.evaluation.validation.rank_histogram import LOG_RANK, deviations_of, edges_of, metrics_of, weights_of
from fedrec.privacy.validation import ValidationPlan

EXTREME = (0.0, 1e-9, 0.3, 1.0, 7.0, 1e30, -1e30, math.inf, -math.inf, math.nan)
EDGES = edges_of((3,), 50)


def test_losses_are_told_by_their_distance_from_a_uniform_guess():
    # of e^4 items a uniform guess loses 4 nats; losses count from 2 to 6
    found = losses_as(np.array([4.5, 9.0, 0.0, math.nan]), round(math.e**4))
    np.testing.assert_allclose(found.vectors[:, 0], [0.5, 2.0, -2.0, 0.0], atol=0.01)
    assert found.bound == pytest.approx(2.0, abs=0.005)


def test_changes_are_cut_to_their_bound_and_what_is_not_finite_is_cut_too():
    found = changes_as(np.array([5.5, 9.0, 1.0, math.inf]), np.array([6.0, 6.0, 6.0, math.inf]), 1.0)
    assert found.vectors[:, 0].tolist() == [-0.5, 1.0, -1.0, 0.0]


def test_metrics_are_told_by_their_distance_from_one_half():
    found = scores_as(np.array([[0.0, 1.0], [0.25, math.nan]]))
    assert found.vectors.tolist() == [[-0.5, 0.5], [-0.25, 0.0]]
    assert found.bound == pytest.approx(math.sqrt(2) / 2)


def test_gains_over_the_first_are_shortened_together():
    found = gains_as(np.array([[0.5, 0.6, 0.5], [0.0, 0.6, 0.8], [math.nan, 1.0, 0.0]]))
    # (.6, .8) has length 1: shortened to a quarter
    np.testing.assert_allclose(found.vectors, [[0.1, 0.0], [0.15, 0.2], [0.0, 0.0]])


def test_ranks_fall_into_single_bins_and_then_doubling_ones():
    assert EDGES.tolist() == [1, 2, 3, 6, 12, 24, 48, 50]
    ranks = np.array([1, 3, 4, 6, 7, 50])
    assert ranks_as(ranks, EDGES).vectors.argmax(axis=1).tolist() == [0, 2, 3, 3, 4, 7]
    assert ranks_as(np.array([], dtype=np.int64), EDGES).vectors.shape == (0, 8)


def test_a_catalogue_smaller_than_the_cut_off_has_a_bin_a_rank():
    assert edges_of((5, 10), 4).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "found",
    [
        losses_as(np.array(EXTREME), 1682),
        changes_as(*np.array(list(itertools.product(EXTREME, EXTREME))).T, 0.5),
        scores_as(np.array(list(itertools.product(EXTREME, EXTREME)))),
        scores_as(np.array(list(itertools.product((0.0, 1.0), repeat=2)))),
        ranks_as(np.arange(1, 51), EDGES),
        gains_as(np.array(list(itertools.product((0.0, 0.1, 1.0, math.nan), repeat=5)))),
    ],
    ids=["losses", "changes", "scores of any size", "scores", "ranks", "gains"],
)
def test_no_user_moves_a_sum_farther_than_the_bound_and_some_user_that_far(found):
    lengths = np.linalg.norm(found.vectors, axis=1)
    assert np.isfinite(found.vectors).all()
    assert lengths.max() == pytest.approx(found.bound, rel=1e-12)
    apart = np.linalg.norm(found.vectors[:, None] - found.vectors[None], axis=2)
    assert apart.max() <= 2 * found.bound * (1 + 1e-12), "a user with other data: two bounds"


def test_the_bound_of_gains_is_the_stated_one():
    assert gains_as(np.array([[0.0, 1.0]])).bound == GAIN_BOUND == 0.25


PLAN = ValidationPlan(users=10, epsilon=2.0, noise_multiplier=3.0, asked=(("base loss", "metrics"), ("loss change",)))


def test_the_noise_of_the_releases_has_the_claimed_deviation():
    # 2,000 adapters, each a draw of its own: their squares over the claimed variance are chi-square
    contributions = scores_as(np.full((10, 2), 0.75))
    draws = [NoisySums(PLAN, 7).mean(0, "metrics", f"adapter {number}", contributions) - 0.25 for number in range(1000)]
    claimed = 3.0 * math.sqrt(2) / 2 / 10
    total = float((np.concatenate(draws) ** 2).sum() / claimed**2)
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 2000)
    assert low < total < high


def test_the_same_question_about_the_same_adapter_has_the_same_noise_and_no_other():
    contributions = losses_as(np.full(10, 7.0), 1682)

    def said(seed=7, question="base loss", about="a"):
        number = PLAN.asked.index(("loss change",)) if question == "loss change" else 0
        return float(NoisySums(PLAN, seed).mean(number, question, about, contributions)[0])

    assert said() == said()
    assert len({said(), said(about="b"), said(seed=8), said(question="metrics"), said(question="loss change")}) == 5


@pytest.mark.parametrize(
    ("number", "question", "why"),
    [(1, "metrics", "not in the plan"), (2, "metrics", "not in the plan"), (-1, "loss change", "not in the plan")],
)
def test_what_was_not_planned_is_refused(number, question, why):
    with pytest.raises(PrivacyError, match=why):
        NoisySums(PLAN, 7).mean(number, question, "a", scores_as(np.zeros((1, 2))))


def test_a_question_is_answered_again_about_the_same_adapter_only():
    sums, contributions = NoisySums(PLAN, 7), scores_as(np.zeros((1, 2)))
    first = sums.mean(0, "metrics", "a", contributions)
    assert first.tolist() == sums.mean(0, "metrics", "a", contributions).tolist()
    with pytest.raises(PrivacyError, match=r"about another adapter.*no privacy budget is left"):
        sums.mean(0, "metrics", "b", contributions)


def test_metrics_follow_from_the_counts_of_ranks():
    # ranks 1, 2 and 30 of three users: NDCG@3 is (1 + 1 / log2(3) + 0) / 3, the reciprocal rank (1 + 1/2 + 0) / 3
    counts = ranks_as(np.array([1, 2, 30]), EDGES).vectors.sum(axis=0)
    found = metrics_of(counts, 3, weights_of(EDGES, (1, 3)))
    assert found["ndcg@3"] == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert found["mrr@3"] == pytest.approx(0.5)
    assert found["hit_rate@1"] == pytest.approx(1 / 3)
    # the bin of rank 30 reaches from 25 to 48
    assert found[LOG_RANK] == pytest.approx((0 + math.log(2) + math.log(25 * 48) / 2) / 3)


def test_users_without_data_are_spread_evenly():
    weights = {"half": np.array([1.0, 0.0])}
    assert metrics_of(np.array([3.0, 0.0]), 5, weights)["half"] == pytest.approx((3 + 2 / 2) / 5)


def test_the_noise_of_metrics_is_what_it_is_said_to_be():
    weights = weights_of(EDGES, (3,))
    said = deviations_of(2.0, 10, weights)
    rng = rng_for(0, "metrics of noise")
    drawn = [metrics_of(rng.normal(0.0, 2.0, len(EDGES)), 10, weights) for _ in range(2000)]
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 1999)
    for name, deviation in said.items():
        spread = np.var([found[name] for found in drawn], ddof=1) * 1999 / deviation**2
        assert low < spread < high, name
