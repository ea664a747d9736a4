"""Clicks: which pairs there are, their loss and their metrics by hand."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import Interactions
from fedrec.data.split import Cases
from fedrec.metrics.evaluation import Judged
from fedrec.tasks import open_task
from tests.handmade import NUM_ITEMS, context, experiment

BELOW = {"threshold": 4.0, "negatives": "below"}


def click(**options):
    return open_task(experiment(task={"name": "click", "options": options}))


def batch_of(task, *values: float) -> dict[str, Tensor]:
    """Return one user's items 0, 1, ..., rated so, as one example."""
    items, rated = np.arange(len(values)), np.array(values, dtype=np.float32)
    rows = Interactions.from_rows(np.zeros_like(items), items, items, rated, 1, NUM_ITEMS)
    return task.collate(task.judged(rows, np.arange(1)))


class ItemTwo:
    """A model of three items that gives item 2 the score 2, and all others 0."""

    num_items = 3

    def __call__(
        self,
        batch: Mapping[str, Tensor],
        candidates: Tensor | None = None,
        shared: Tensor | None = None,
        items: range | None = None,
    ) -> Tensor:
        history = batch["history"]
        scored = torch.arange(3).expand(len(history), -1) if candidates is None else candidates
        if shared is not None:
            scored = torch.cat((scored, shared.expand(len(history), -1)), dim=1)
        return (2.0 * (scored == 2)).unsqueeze(1).expand(-1, history.shape[1], -1)


def test_a_batch_has_what_is_clicked_and_all_of_the_examples_own_items():
    batch = batch_of(click(threshold=4.0), 5, 4, 3)
    assert batch["clicked"].tolist() == [[1, 0]]
    assert batch["own"].tolist() == [[0, 1, 2]]
    assert batch_of(click(), 5, 4, 3)["clicked"].tolist() == [[1, 1]]


@pytest.mark.parametrize("sample", [torch.tensor([0, 2]), torch.tensor([2, 2, 1]), None])
def test_a_click_is_compared_with_items_that_the_example_does_not_hold(sample):
    # items 0 and 1 are its own, item 2 is not: log(1 + e^2) = 2.126928; the click's own loss at 0 is log 2 = 0.693147
    task, model = click(per_click=1), ItemTwo()
    found = task.losses(model, batch_of(task, 1, 1), sample)
    assert found.tolist() == pytest.approx([(0.693147 + 2.126928) / 2], abs=1e-6)


def test_unclicked_items_weigh_as_many_as_a_click_has_beside_it():
    # score 0 is a probability of 1 / 4, score 2 has odds of e^2 / 3: -log(1 / 4) once, log(1 + e^2 / 3) three times
    task = click(per_click=3)
    found = task.losses(ItemTwo(), batch_of(task, 1, 1), None)
    assert found.tolist() == pytest.approx([(math.log(4) + 3 * math.log(1 + math.exp(2) / 3)) / 4], abs=1e-6)


def test_the_whole_catalogue_is_what_a_draw_of_each_item_once_gives():
    task, model = click(), context().model
    batch = batch_of(task, 1, 1, 1)
    everything = torch.arange(NUM_ITEMS)
    torch.testing.assert_close(task.losses(model, batch, None), task.losses(model, batch, everything))
    own, slice_ = range(2), range(2, NUM_ITEMS)  # of a platform: its items alone
    batch = {**batch, "history": batch["history"] + 2, "target": batch["target"] + 2, "own": batch["own"] + 2}
    of_slice = task.losses(model, batch, None, slice_)
    torch.testing.assert_close(of_slice, task.losses(model, batch, everything[slice_.start :], slice_))
    assert set(task.sample(np.random.default_rng(0), slice_).tolist()) == {*range(NUM_ITEMS)} - {*own}


def test_only_clicks_are_learnt_from_where_unclicked_items_are_drawn():
    task, model = click(threshold=4.0), context().model
    both, one = batch_of(task, 1, 1, 5), batch_of(click(), 1, 1, 5)
    scores = torch.tensor([[0.0, 1.0]])  # the second target is the click
    torch.testing.assert_close(task.losses(model, both, None), task.losses(model, {**one, "clicked": scores}, None))
    nothing = task.losses(model, batch_of(task, 5, 1, 1), None)
    assert nothing.tolist() == [0.0]  # no click to learn from, and no 0 / 0


def test_values_below_the_threshold_are_the_unclicked_pairs():
    task, model = click(**BELOW), context().model
    batch = batch_of(task, 1, 5, 3)
    assert task.sample(np.random.default_rng(0), range(NUM_ITEMS)) is None
    scores = model(batch)
    logits, clicked = torch.stack((scores[0, 0, 1], scores[0, 1, 2])), torch.tensor([1.0, 0.0]).double()
    torch.testing.assert_close(task.losses(model, batch, None), binary_cross_entropy_with_logits(logits, clicked)[None])


def cases(targets: list[list[int]], values: list[list[float]]) -> Cases:
    count = len(targets)
    return Cases(
        name="last20",
        users=np.arange(count),
        histories=[np.array([0])] * count,
        targets=[np.array(own) for own in targets],
        excluded=0,
        history_values=[np.ones(1, np.float32)] * count,
        target_values=[np.array(own, np.float32) for own in values],
    )


def scorer(*scores: float) -> Any:
    return lambda queries: np.tile(np.array(scores, np.float32), (len(queries), 1))


def test_a_held_out_user_is_asked_about_its_clicks_and_about_unseen_items_that_depend_on_nothing_else():
    drawn, unseen = click(per_click=50).unclicked, {1, 2, 5, 6}
    clicked = np.array([True, False])
    items, found = drawn.pairs(7, np.array([0]), np.array([3, 4]), clicked, NUM_ITEMS)
    assert items[found].tolist() == [3]
    assert set(items[~found].tolist()) == unseen
    assert len(items) == 51
    again, _ = drawn.pairs(7, np.array([0]), np.array([3, 4]), clicked, NUM_ITEMS)
    assert again.tolist() == items.tolist()
    assert drawn.pairs(8, np.array([0]), np.array([3, 4]), clicked, NUM_ITEMS)[0].tolist() != items.tolist()
    everything = drawn.pairs(7, np.array([0]), np.arange(1, NUM_ITEMS), np.ones(6, bool), NUM_ITEMS)
    assert everything[1].all()  # nothing is left to draw


def test_a_score_of_0_is_as_likely_a_click_as_a_pair_is():
    found = click(per_click=3).evaluate(scorer(*[0] * 7), cases([[1, 2], [3]], [[1, 1], [1]]), Judged(7, (10,)))
    # 3 clicks and 9 other pairs at a probability of 1 / 4
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.means == pytest.approx({"gauc": 0.5, "log_loss": entropy})
    assert found.lists == pytest.approx({"auc": 0.5, "ece": 0.0, "calibration_ratio": 1.0})


def test_group_auc_is_of_each_user_and_auc_of_all_pairs():
    # user 0 clicks 1 (score 3) and not 2 (score 1): right; user 1 clicks 3 (score 0) and not 4 (score 2): wrong; user 2
    # clicks all of its own, 5 (score 0), and has no AUC. Of all pairs 3 beats 1 and 2, and neither 0 beats any: 2 of 6.
    judged = cases([[1, 2], [3, 4], [5]], [[5, 1], [4, 2], [5]])
    found = click(**BELOW).evaluate(scorer(0, 3, 1, 0, 2, 0, 0), judged, Judged(7, (10,)))
    assert found.per_user["gauc"].tolist()[:2] == [1.0, 0.0]
    assert math.isnan(found.per_user["gauc"][2])
    assert found.means["gauc"] == 0.5
    # log loss of user 0: -log sigmoid(3) = 0.048587 and -log sigmoid(-1) = 1.313262; of user 2: log 2
    assert found.per_user["log_loss"][[0, 2]].tolist() == pytest.approx([(0.048587 + 1.313262) / 2, math.log(2)], 1e-5)
    assert found.lists["auc"] == pytest.approx(2 / 6)


def test_where_nobody_has_both_kinds_of_pairs_the_threshold_is_asked_for():
    with pytest.raises(ConfigError, match=r"threshold = 9\.0: no held-out user has both"):
        click(threshold=9.0).evaluate(scorer(*[0] * 7), cases([[1, 2]], [[5, 1]]), Judged(7, (10,)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"negatives": "below"}, "negatives = 'below': should be 'drawn' without a threshold"),
        ({"negatives": "any"}, "negatives = 'any': should be 'drawn' or 'below'"),
        ({"threshold": "high"}, "threshold = 'high': should be a finite number"),
        ({"per_click": 0}, "per_click = 0: should be a whole number from 1 on"),
        ({"per_click": 1.5}, "per_click = 1.5"),
        ({"bins": True}, "bins = True"),
        ({"base_rate": 1}, "base_rate = 1: should be between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        click(**options)


def test_odds_are_for_tasks_that_judge_them():
    for name in ("next_item", "rating"):
        with pytest.raises(ConfigError, match=f"the scores of popularity_odds say nothing that {name} judges"):
            open_task(experiment(task={"name": name}, evaluation={"controls": ["popularity_odds"]}))
