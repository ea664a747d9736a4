"""FedRecon: the earlier half tells the user's factors, the later one trains the items, and clients keep nothing."""

import math

import pytest
import torch

from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import UnitCounts
from fedrec.privacy.plan import plan as planned
from fedrec.training.client import train_client
from fedrec.training.task import CohortTask
from tests.handmade import context, plan, task, train_each_as_alone

CHOSEN = {
    "model": {"name": "reconstructed_factorization", "width": 3, "options": {"ridge": 0.5, "others": 0.1}},
    "adapter": {"name": "full"},
}
HALF = {"example": "later_half"}


def test_targets_are_those_of_the_later_half() -> None:
    # user 0 has items 0 1 2 3: 0 and 1 are the support, 2 and 3 the query; user 2 has 5 6, one of each
    made = context(training=HALF, **CHOSEN)
    batch = made.task.collate([window for client in (0, 1) for window in drawn(made, client)])
    assert batch["first"].tolist() == [1, 2, 0]
    assert batch["target"].tolist() == [[-1, 2, 3, -1], [-1, -1, 4, 6], [6, -1, -1, -1]]
    assert made.task.judged(made.train, made.federation.users[0])[0].first == 0, "held-out users are judged in full"


def drawn(made, client):
    examples = made.examples(client)
    return made.task.draw(examples, range(len(examples)), None)


def test_the_gradient_is_of_the_query_under_factors_that_are_held_fixed() -> None:
    made = context(clients=([0],), training={**HALF, "lr": 1.0}, **CHOSEN)
    items, bias = (made.start[f"item_{part}.weight"].clone().requires_grad_() for part in ("factor", "bias"))
    support = items.detach()[:2]
    gram = support.T @ support + 0.1 * items.detach().T @ items.detach() + 0.5 * torch.eye(3).double()
    factors = torch.linalg.solve(gram, support.sum(dim=0))
    scores = items @ factors + bias[:, 0]
    loss = -scores.log_softmax(dim=0)[[2, 3]].mean()
    loss.backward()
    found = train_client(made, task(made)).parameters  # a step of rate 1 on the only example
    torch.testing.assert_close(found["item_factor.weight"][0], made.start["item_factor.weight"] - items.grad)
    torch.testing.assert_close(found["item_bias.weight"][0], made.start["item_bias.weight"] - bias.grad)


def test_a_user_that_nobody_trained_on_is_served_by_the_same_fit() -> None:
    made = context(**CHOSEN).model
    history, first = torch.tensor([[4, 2, 4, 6]]), torch.tensor([2])
    own = made({"history": history, "user": torch.tensor([0]), "first": first})
    stranger = made({"history": history})
    for position in range(4):
        torch.testing.assert_close(own[0, position], stranger[0, 2])
    torch.testing.assert_close(made.score({"history": history[:, :3], "length": torch.tensor([3])})[0], stranger[0, 2])


@pytest.mark.parametrize("example", ["sequence", "prefix", "later_half"])
@pytest.mark.parametrize("privacy", [plan(), plan("central", noise=1.0, clip=0.5), plan("local", noise=1.5, clip=0.5)])
def test_many_clients_at_once_move_as_each_alone_and_keep_nothing(privacy, example) -> None:
    made = context(privacy=privacy, training={"steps": 2, "lr": 0.1, "example": example}, **CHOSEN)
    assert not made.private_names
    train_each_as_alone(made, CohortTask([0, 1, 2], 1, dict(made.shared_start)))


def test_under_local_privacy_a_users_whole_data_move_the_sum_by_a_clip_norm_at_most() -> None:
    # without noise a step is the clipped gradients' sum over 2, for client 0 has two users; the fit is behind the clip
    privacy = plan("local", noise=0.0, clip=0.01)
    ends = []
    for sequences in (([0, 1, 2, 3], [4, 2, 6]), ([0, 1, 2, 3], [4])):
        made = context(sequences, ([0, 1],), privacy, training={**HALF, "lr": 1.0}, **CHOSEN)
        ends.append(train_client(made, task(made)).parameters)
    apart = math.sqrt(sum(float(((ends[0][name] - ends[1][name]) ** 2).sum()) for name in ends[0]))
    assert 2 * apart == pytest.approx(0.01, rel=1e-3)


def test_later_halves_are_priced_as_the_sequences_that_they_are_cut_from() -> None:
    sections = {"privacy": {"epsilon": 8.0, "trust": "local"}, "federation": {"partition": "users"}}
    plans = []
    for example in ("sequence", "later_half"):
        made = Experiment.model_validate({**sections, "training": {"example": example}})
        plans.append(planned(made, UnitCounts(500, 500, 500), 5))
    assert plans[0] == plans[1]
