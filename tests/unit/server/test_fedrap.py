"""FedRAP by hand: two tables that are pulled apart, one kept sparse, by weights that grow over rounds."""

import math
from dataclasses import replace

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.training.client import train_client
from fedrec.training.rules.base import LocalWork
from fedrec.training.task import CohortTask
from server.strategies.build import check_strategy
from server.strategies.fedrap import AdditivePersonalization, FedRAP
from tests.handmade import context, plan, task, train_each_as_alone
from tests.tiny import strategy_context, tiny

WORK = LocalWork(steps=1, lr=0.5, optimizer="sgd", round=11)
GROWN = math.tanh(1.0)
MODEL = {"model": {"name": "additive_factorization", "width": 3}, "adapter": {"name": "full", "private": ()}}
PULLED = {
    "rule": "server.strategies.fedrap:AdditivePersonalization",
    "options": {"independence": 0.8, "sparsity": 0.4, "table_factor": 3.0},
}


def test_both_terms_by_hand() -> None:
    # Two numbers a table: C = (1, -2), D = (3, 0). The weights of round 11, a = 10, are tanh(1) times their own.
    rule = AdditivePersonalization(WORK, independence=0.5, sparsity=0.25, table_factor=4.0)
    everything = {"w": torch.tensor([[1.0, -2.0]]), "personal_w": torch.tensor([[3.0, 0.0]]), "u": torch.ones(1, 1)}
    gradient = torch.tensor([[0.1, 0.2]])
    # C: 4 * (g + tanh(1) * (2 * .5 * (D - C) + .25 * sign(C)) / 2), where D - C = (2, 2)
    shared = rule.direction({"w": gradient}, everything, None)
    expected = [4 * (0.1 + GROWN * (2 + 0.25) / 2), 4 * (0.2 + GROWN * (2 - 0.25) / 2)]
    torch.testing.assert_close(shared["w"], torch.tensor([expected]))
    # D: 4 * (g - tanh(1) * 2 * .5 * (D - C) / 2); the users' factors follow their gradient
    own = rule.private_direction({"personal_w": gradient, "u": torch.tensor([[7.0]])}, everything, None)
    torch.testing.assert_close(own["personal_w"], torch.tensor([[4 * (0.1 - GROWN), 4 * (0.2 - GROWN)]]))
    assert own["u"].tolist() == [[7.0]]


def test_the_terms_are_those_of_the_loss_by_autograd() -> None:
    shared, own = (torch.randn(5, 2, generator=torch.Generator().manual_seed(seed)).requires_grad_() for seed in (1, 2))
    loss = -GROWN * 0.5 * ((own - shared) ** 2).mean() + GROWN * 0.25 * shared.abs().mean()
    of_shared, of_own = torch.autograd.grad(loss, (shared, own))
    rule = AdditivePersonalization(WORK, independence=0.5, sparsity=0.25)
    everything, nothing = {"w": shared.detach()[None], "personal_w": own.detach()[None]}, torch.zeros(1, 5, 2)
    torch.testing.assert_close(rule.direction({"w": nothing}, everything, None)["w"][0], of_shared)
    found = rule.private_direction({"personal_w": nothing}, everything, None)["personal_w"][0]
    torch.testing.assert_close(found, of_own)


def test_in_the_first_round_there_is_the_loss_alone() -> None:
    rule = AdditivePersonalization(replace(WORK, round=1), independence=9.0, sparsity=9.0)
    everything = {"w": torch.tensor([[1.0]]), "personal_w": torch.tensor([[3.0]])}
    assert rule.direction({"w": torch.tensor([[0.5]])}, everything, None)["w"].tolist() == [[0.5]]


@pytest.mark.parametrize("privacy", [plan(), plan("central", noise=1.0, clip=0.5), plan("local", noise=1.5, clip=0.5)])
def test_many_clients_at_once_move_as_each_alone(privacy) -> None:
    made = context(clients=([0], [2], [3]), privacy=privacy, training={"steps": 3, "lr": 0.1}, **MODEL)
    assert made.private_names == {"user_factor.weight", "personal_item_factor.weight"}
    private = {name: torch.randn(3, *made.start[name].shape).double() for name in made.private_names}
    asked = CohortTask([0, 1, 2], 9, dict(made.shared_start), private=private, **PULLED)
    together = train_each_as_alone(made, asked)
    plain = train_client(made, task(made, round=9, private={name: value[:1] for name, value in private.items()}))
    assert not torch.equal(
        plain.private["personal_item_factor.weight"][0], together.private["personal_item_factor.weight"][0]
    )


def test_a_clients_own_users_see_the_sum_and_all_others_the_shared_table() -> None:
    made = context(clients=([0],), **MODEL).model
    history = torch.tensor([[0, 1, 2]])
    own = {"history": history, "user": torch.tensor([0]), "length": torch.tensor([3])}
    both = made.item_factor.weight + made.personal_item_factor.weight
    expected = both @ made.user_factor.weight[0] + made.item_bias.weight[:, 0]
    torch.testing.assert_close(made.score(own)[0], expected)
    torch.testing.assert_close(made(own)[0, 1], expected)
    stranger = {"history": history, "length": torch.tensor([3])}
    before = made.score(stranger)
    with torch.no_grad():
        made.personal_item_factor.weight.fill_(9.0)
    assert torch.equal(made.score(stranger), before)


def test_what_the_server_tells_and_refuses() -> None:
    assert FedRAP(strategy_context(), independence=0.2).client_config() == {
        "independence": 0.2,
        "sparsity": 0.001,
        "table_factor": 1.0,
    }
    options = {"strategy": {"name": "fedrap", "options": {"sparsity": -1}}, "training": {"optimizer": "sgd"}}
    with pytest.raises(ConfigError, match=r"strategy\.options\.sparsity = -1"):
        check_strategy(tiny(**MODEL, **options))
    with pytest.raises(ConfigError, match=r"training\.optimizer=adam; set sgd"):
        check_strategy(tiny(**MODEL, strategy={"name": "fedrap"}, training={"optimizer": "adam"}))
