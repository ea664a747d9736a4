"""The recovery attack by hand arithmetic, on updates made up and real, and where there is nothing to find."""

import math

import numpy as np
import pytest
import torch

from fedrec.attacks.recovery import auc_of, item_scores, neutral_histories, precision_at, with_popularity
from fedrec.training.client import train_client
from tests.handmade import NUM_ITEMS, context, task

NO_BIAS = {"item_bias": False}


def test_the_change_of_the_bias_says_outright_what_was_pushed_up():
    change = {"item_bias.weight": torch.tensor([[0.5], [-0.1], [0.3], [-0.1]]), "other": torch.ones(2)}
    scores = item_scores(context().model, {}, change, neutral_histories(4, seed=0))
    assert scores == pytest.approx([0.5, -0.1, 0.3, -0.1])
    # Own items 0 and 2 are above both others: 4 of 4 pairs. Own items 0 and 1: 1.5 of the pairs with 2 and 3 by item 0
    # (above both: 2), item 1 below item 2 and tied with item 3 (0.5): 2.5 of 4.
    assert auc_of(scores, np.array([0, 2])) == 1.0
    assert auc_of(scores, np.array([0, 1])) == 2.5 / 4


def test_precision_by_hand_and_where_scores_tie():
    scores = np.array([4.0, 3.0, 1.0, 1.0, 1.0])
    assert precision_at(scores, np.array([0, 2]), 1) == 1.0
    assert precision_at(scores, np.array([0, 2]), 2) == 0.5
    # The third place is one of three tied items, of which one is the user's: (1 + 1/3) / 3
    assert precision_at(scores, np.array([0, 2]), 3) == pytest.approx((1 + 1 / 3) / 3)
    assert precision_at(scores, np.array([0, 2]), 10) == 2 / 5  # the catalogue has five
    assert precision_at(np.zeros(5), np.array([0, 2]), 2) == pytest.approx(2 / 5)  # nothing is known: a guess


@pytest.mark.parametrize(
    ("items", "auc", "precision"), [([], math.nan, 0.0), ([1], 1.0, 0.5), ([0, 1, 2], math.nan, 1.0)]
)
def test_users_with_no_item_with_one_and_with_all(items, auc, precision):
    scores, own = np.array([0.0, 2.0, 1.0]), np.array(items, dtype=np.int64)
    assert auc_of(scores, own) == pytest.approx(auc, nan_ok=True)
    assert precision_at(scores, own, 2) == precision


@pytest.mark.parametrize("sections", [{}, {"adapter": NO_BIAS}], ids=["item bias", "LoRA alone"])
def test_an_update_without_noise_gives_its_user_away(sections):
    training_context = context(**sections, training={"lr": 0.1})
    start = training_context.shared_start
    update = train_client(training_context, task(training_context, 1))  # whose only user chose 6 after 5
    change = {name: update.parameters[name][0] - value for name, value in start.items()}
    scores = item_scores(training_context.model, start, change, neutral_histories(NUM_ITEMS, seed=0))
    assert scores.argmax() == 6


def test_without_the_bias_it_is_the_change_of_the_mean_score_after_neutral_histories():
    training_context = context(adapter=NO_BIAS)
    start = training_context.shared_start
    change = {name: torch.full_like(value, 0.01) for name, value in start.items()}
    histories = neutral_histories(NUM_ITEMS, seed=0)
    assert sorted(histories.flatten().tolist()) == list(range(NUM_ITEMS))
    means = []
    for step in (0, 1):
        values = {f"{name}": value + step * change[name] for name, value in start.items()}
        with torch.no_grad():
            every = torch.func.functional_call(
                training_context.model, values, ({"history": histories},)
            )  # [histories, 1, items]
        means.append(every[:, 0].mean(dim=0))
    assert item_scores(training_context.model, start, change, histories) == pytest.approx((means[1] - means[0]).numpy())
    still = {name: torch.zeros_like(value) for name, value in start.items()}
    assert (item_scores(training_context.model, start, still, histories) == 0).all()


def _world(noise):
    """Return what forty users' updates do to 300 items, popularity and items: popular items are owned more often."""
    rng = np.random.default_rng(0)
    popularity = 1000 / np.arange(1, 301)
    items = [np.unique(rng.choice(300, 20, p=popularity / popularity.sum())) for _ in range(40)]
    scores = [np.isin(np.arange(300), own) + rng.normal(0, noise, 300) for own in items]
    return scores, [popularity] * 40, items


def _mean_auc(rankings, items):
    return np.mean([auc_of(*one) for one in zip(rankings, items, strict=True)])


def test_who_knows_popularity_gains_by_a_clear_update():
    scores, popularity, items = _world(0.3)
    both = _mean_auc(with_popularity(scores, popularity, items), items)
    assert _mean_auc(popularity, items) < 0.9
    assert both > 0.95
    assert both > _mean_auc(scores, items) - 0.01


def test_who_knows_popularity_loses_nothing_by_a_drowned_update():
    scores, popularity, items = _world(100.0)
    both = _mean_auc(with_popularity(scores, popularity, items), items)
    assert both == pytest.approx(_mean_auc(popularity, items), abs=0.02)


def test_nobodys_items_are_used_against_itself():
    scores, popularity, items = _world(0.3)
    first = with_popularity(scores, popularity, items)[0]
    changed = with_popularity(scores, popularity, [np.arange(5), *items[1:]])[0]
    assert (first == changed).all()


def test_of_one_user_alone_nothing_is_learnt():
    (ranking,) = with_popularity([np.array([0.0, 1.0])], [np.array([3.0, 1.0])], [np.array([1])])
    assert ranking.tolist() == [3.0, 1.0]
    assert with_popularity([], [], []) == []


def test_an_update_that_changes_nothing_and_users_with_everything_are_no_obstacle():
    everything, nothing = np.arange(3), np.zeros(3)
    rankings = with_popularity([nothing] * 4, [np.array([2.0, 1.0, 0.0])] * 4, [everything] * 4)
    assert np.isfinite(rankings).all()
