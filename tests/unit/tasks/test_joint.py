"""Joint training: the weighed sum by hand, each task's own reading of the scores, and what cannot be joined."""

import math

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Interactions
from fedrec.data.split import Cases
from fedrec.metrics.evaluation import Judged
from fedrec.models.adapters import attach_, shared_parameters
from fedrec.models.recommender import build_model
from fedrec.models.scoring import model_scorer
from fedrec.tasks import open_task
from fedrec.tasks.joint import weighed
from tests.handmade import NUM_ITEMS, experiment, inputs

BOTH = {"name": "joint", "options": {"tasks": "next_item, rating", "rating_centre": 2.5}}


def rows() -> Interactions:
    """One user: items 0, 1, 2 rated 5, 1, 4."""
    item = np.arange(3)
    return Interactions.from_rows(np.zeros(3, dtype=np.int64), item, item, np.array([5, 1, 4], dtype=np.float32), 1, 7)


def model(adapter: str = "none"):
    wanted = experiment(task=BOTH)
    made = build_model(wanted, inputs(single=True, heads=2))
    attach_(made, wanted.adapter.model_copy(update={"name": adapter}), 0)
    made.item_bias.weight.data[:, 0] = torch.arange(7.0) / 30
    return made


def test_a_weighed_loss_by_hand_is_least_where_the_variance_is_that_of_the_errors():
    # 3 * e^-ln 2 + ln 2 / 2; a squared error of 4 is least at a variance of 4
    loss = weighed(torch.tensor(3.0), torch.tensor(math.log(2)), 1.0)
    assert loss.item() == pytest.approx(1.5 + math.log(2) / 2)
    variances = torch.tensor([3.9, 4.0, 4.1])
    assert weighed(torch.tensor(4.0), variances.log(), 0.5).argmin() == 1


def test_the_loss_is_the_sum_of_the_tasks_own_at_the_start_a_squared_error_by_half():
    task, made = open_task(experiment(task=BOTH)), model()
    batch = task.collate(task.judged(rows(), np.arange(1)))
    one, other = (member.losses(made, batch, None) for member in task.members)
    torch.testing.assert_close(task.losses(made, batch, None), one + other / 2)


def test_each_task_reads_the_scores_by_a_scale_and_a_shift_of_its_own():
    task, made = open_task(experiment(task=BOTH)), model()
    batch = task.collate(task.judged(rows(), np.arange(1)))
    made.joint.weight.data = torch.tensor([[1.0, 9.0, 0.5], [0.0, 0.25, -0.5]])
    scores = made(batch)[0]
    first = -(2 * scores).log_softmax(-1)[[0, 1], [1, 2]].mean()  # a shift moves no softmax
    second = ((2.5 + 0.25 + scores[[0, 1], [1, 2]] - torch.tensor([1.0, 4.0])) ** 2).mean()
    expected = first * math.exp(-0.5) + 0.25 + second / 2 * math.exp(0.5) - 0.25
    torch.testing.assert_close(task.losses(made, batch, None)[0], expected)


def test_every_adapter_trains_and_shares_what_the_tasks_weigh():
    for adapter in ("none", "lora", "bias", "full"):
        assert "joint.weight" in shared_parameters(model(adapter), experiment().adapter)
    one = open_task(experiment(task=BOTH))
    made = model()
    one.losses(made, one.collate(one.judged(rows(), np.arange(1))), None).sum().backward()
    assert made.joint.weight.grad.abs().min(dim=1).values[1] > 0


def test_all_tasks_judge_what_they_read():
    task, made = open_task(experiment(task=BOTH)), model()
    made.joint.weight.data = torch.tensor([[-2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    value = [np.array([5.0], dtype=np.float32)]
    cases = Cases("last20", np.array([0]), [np.array([0])], [np.array([1])], 0, "", value, [np.array([1.0])])
    found = task.evaluate(model_scorer(made), cases, Judged(NUM_ITEMS, (10,)))
    plain = made.score({"history": torch.tensor([[0]]), "length": torch.tensor([1])}).detach().numpy()[0]
    assert found.per_user["rmse"][0] == pytest.approx(abs(2.5 + plain[1] + 1.0 - 1.0), rel=1e-5)
    rank = 1 + (-plain[2:] > -plain[1]).sum()  # a scale of -1 turns the order round
    assert found.per_user["ndcg@10"][0] == pytest.approx(1 / math.log2(rank + 1))
    assert (task.headline.metric, task.errors) == ("ndcg@10", {"rmse", "mae"})


def test_search_and_click_can_be_joined_and_share_the_whole_catalogue():
    wanted = {"name": "joint", "options": {"tasks": "search, click, rating", "click_threshold": 4.0}}
    task = open_task(experiment(task=wanted))
    examples = task.examples(rows(), np.arange(1))
    batch = task.collate(task.draw(examples, np.arange(1), rng_for(0, "draw")))
    assert {"asked", "clicked", "rating", "value", "history", "target", "user"} <= batch.keys()
    assert batch["clicked"].tolist() == [[0, 1]]
    assert task.sample(rng_for(0, "sample"), range(7)) is None
    # the softmax's sample would be of 100 items, that of the clicks is of 256
    assert len(task.sample(rng_for(0, "sample"), range(5000))) == 256
    assert [cut.name for cut in task.targets] == ["last20"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "next_item"}, "should be at least two tasks, each once"),
        ({"tasks": "rating, rating"}, "each once; two of them report mae"),
        ({"tasks": "next_item, search"}, "two of them report mrr@10"),
        ({"tasks": "next_item, joint"}, "joint does not read windows of sequences"),
        ({"tasks": "next_item, no_task"}, "no_task"),
        ({"rating_center": 3}, "options do not fit"),
        ({"centre": 3}, "unexpected option 'centre'"),
    ],
)
def test_what_cannot_be_joined_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        open_task(experiment(task={"name": "joint", "options": options}))
