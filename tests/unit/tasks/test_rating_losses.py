"""What ratings are learnt by: probabilities of levels by hand, and against what they must equal."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from fedrec.core.errors import ConfigError
from fedrec.data.split import Cases
from fedrec.metrics.evaluation import Judged
from fedrec.tasks import open_task
from fedrec.tasks.rating_losses import CrossEntropy
from tests.handmade import context, experiment, interactions

STARS = CrossEntropy(3.0, [1, 2, 3, 4, 5], 0.5)


def rating(**options):
    return open_task(experiment(task={"name": "rating", "options": options}))


def probabilities(loss: CrossEntropy, scores: torch.Tensor) -> torch.Tensor:
    """Return the probability of each level, `[scores, levels]`."""
    return torch.stack([torch.exp(-loss.losses(scores, torch.full_like(scores, level))) for level in loss.levels], 1)


def test_two_levels_are_a_logistic_regression():
    scores, ratings = torch.tensor([-2.0, 0.3, 5.0]).double(), torch.tensor([0.0, 1.0, 1.0]).double()
    # the border is 0.5, as is the centre: P(1) = sigmoid(score)
    found = CrossEntropy(0.5, [0, 1], 1.0).losses(scores, ratings)
    torch.testing.assert_close(found, binary_cross_entropy_with_logits(scores, ratings, reduction="none"))


def test_a_level_has_what_lies_between_its_borders():
    # of a 4 at a latent rating of 3: borders 3.5 and 4.5 are 1 and 3 spreads off;
    # sigmoid(3) - sigmoid(1) = 0.952574 - 0.731059 = 0.221516
    found = torch.exp(-STARS.losses(torch.zeros(1).double(), torch.tensor([4.0]).double()))
    assert found.item() == pytest.approx(0.221516, abs=1e-6)


def test_levels_share_all_probability_and_the_prediction_is_their_mean():
    scores = torch.linspace(-4, 4, 9).double()
    found = probabilities(STARS, scores)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(9).double(), rtol=0, atol=1e-12)
    expected = (found.numpy() * STARS.levels).sum(axis=1)
    np.testing.assert_allclose(STARS.predicted(scores.numpy()), expected, rtol=0, atol=1e-12)
    assert STARS.predicted(np.array([[-1e4, 1e4]])).tolist() == [[1, 5]]


def test_no_score_is_so_far_off_that_nothing_is_learnt_from_it():
    scores = torch.tensor([-1e4, -30.0, 30.0, 1e4], requires_grad=True)
    losses = STARS.losses(scores, torch.tensor([5.0, 5.0, 1.0, 1.0]))
    losses.sum().backward()
    # far out the loss is linear: one in so many spreads of 0.5
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([-2, -2, 2, 2])
    assert losses.isfinite().all()


def test_a_task_averages_it_over_the_targets_and_predicts_means():
    task, model = rating(loss="cross_entropy", levels="0, 1", centre=0.5, spread=1.0), context().model
    batch = task.collate(task.judged(interactions([[0, 1, 2]]), np.arange(1)))  # every value is 1
    scores = model(batch)
    first, second = (torch.nn.functional.softplus(-scores[0, place, place + 1]) for place in (0, 1))
    torch.testing.assert_close(task.losses(model, batch, None), (first + second)[None] / 2)
    values = {"history_values": [np.ones(1)], "target_values": [np.array([1.0])]}
    cases = Cases("last20", np.array([0]), [np.array([0])], [np.array([1])], 0, **values)
    found = task.evaluate(lambda queries: np.zeros((len(queries), 7), np.float32), cases, Judged(7, (10,)))
    assert found.per_user["rmse"].tolist() == [0.5]  # sigmoid(0) of a 1


def test_a_held_out_rating_that_is_no_level_is_refused():
    values = {"history_values": [np.ones(1)], "target_values": [np.array([3.5])]}
    cases = Cases("last20", np.array([0]), [np.array([0])], [np.array([1])], 0, **values)
    with pytest.raises(ConfigError, match=r"levels = 1, 2, 3, 4, 5: a held-out user has a rating of 3\.5"):
        rating(loss="cross_entropy").evaluate(
            lambda queries: np.zeros((len(queries), 7), np.float32), cases, Judged(7, (10,))
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "task.options.loss = 'hinge': should be 'squared_error' or 'cross_entropy'"),
        ({"levels": "1, 2"}, "levels and spread are for"),
        ({"loss": "cross_entropy", "levels": "5, 4"}, "levels = '5, 4': should be at least two ascending"),
        ({"loss": "cross_entropy", "levels": "five"}, "levels = 'five'"),
        ({"loss": "cross_entropy", "levels": 5}, "levels = 5: should be"),
        ({"loss": "cross_entropy", "spread": 0}, "spread = 0: should be a finite number above 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        rating(**options)
