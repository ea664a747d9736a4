"""Many clients at once against the Opacus reference, one at a time, in float64: the same mechanism, draw for draw."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.core.errors import FedrecError
from fedrec.models.adapters import ADAPTERS, is_private
from fedrec.tasks.next_item import NextItem
from fedrec.training.client import train_client
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import clip_, train_cohort
from tests.handmade import SEQUENCES, context, moved, plan, task

EXACT = {"rtol": 0, "atol": 1e-9}
LONG = (*SEQUENCES, [6, 5, 4, 3, 2, 1, 0, 6, 2], [2], [3, 3, 3])
MANY = ([0, 1, 4], [2], [3, 6], [5], [4], [0, 1, 2, 3, 4, 6, 0, 1])
"""Clients of one to eight users; client 3 has nothing to train on; users 4 and up draw windows, repeat items."""
PRIVACY = {
    "open": plan(),
    "central": plan("central", noise=1.0, clip=0.5),
    "local without noise": plan("local", noise=0.0, clip=0.5),
    "local": plan("local", noise=1.5, clip=0.5),
}
RNG = np.random.default_rng(0)
PULL = {"rule": "proximal", "options": {"mu": 0.7}}


def cohort_task(made, clients, number=2, **more):
    return CohortTask(clients, number, dict(made.shared_start), **more)


def assert_same(made, clients, number=2, **more):
    """Every client's answer is the reference's."""
    found = train_cohort(made, cohort_task(made, clients, number, **more))
    assert list(found.clients) == list(clients)
    assert not found.failures
    for client, update in found.each():
        row = list(clients).index(client)
        own = {part: {n: v[row : row + 1] for n, v in more.get(part, {}).items()} for part in ("private", "kept")}
        wanted = train_client(made, task(made, client, number, **{**more, **own}))
        for part in ("parameters", "private", "extras", "kept"):
            got, reference = getattr(update, part), getattr(wanted, part)
            assert got.keys() == reference.keys()
            for name in got:
                torch.testing.assert_close(got[name], reference[name], **EXACT, msg=lambda m, n=name: f"{n}: {m}")
        assert update.weights == wanted.weights
        assert update.losses == [None if loss is None else pytest.approx(loss, rel=1e-12) for loss in wanted.losses]


@pytest.mark.parametrize("adapter", ADAPTERS.names())
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("example", ["sequence", "prefix"])
@pytest.mark.parametrize("privacy", PRIVACY)
def test_a_cohort_answers_as_its_clients_would_one_at_a_time(adapter, optimizer, example, privacy):
    made = context(
        LONG,
        MANY,
        PRIVACY[privacy],
        adapter={"name": adapter, "item_delta": True},
        training={"optimizer": optimizer, "lr": 0.1, "steps": 3, "example": example, "sampling_rate": 0.6},
    )
    assert_same(made, range(6))


@pytest.mark.parametrize("adapter", ["lora", "full"])
@pytest.mark.parametrize(("privacy", "windows"), [("open", "all"), ("central", "all"), ("local", "one")])
def test_also_with_dropout_and_every_option_of_the_model(adapter, privacy, windows):
    made = context(
        LONG,
        MANY,
        PRIVACY[privacy],
        model={
            "dropout": 0.4,
            "options": {"projection": "hidden", "positions": "alibi", "logits": "cosine", "text_skip": 5.0},
        },
        adapter={"name": adapter, "item_delta": True},
        training={"steps": 3, "lr": 0.1, "windows": windows, "sampling_rate": 0.6},
    )
    assert_same(made, range(6))
    still = context(LONG, MANY, PRIVACY[privacy], model={"dropout": 0.0}, training={"windows": windows})
    assert "dropout" not in still.task.collate(still.task.draw(still.examples(5), np.array([0]), RNG))


@pytest.mark.parametrize("privacy", ["open", "local"])
def test_also_with_a_pull_private_parameters_and_a_sampled_softmax(privacy):
    made = context(
        LONG,
        MANY,
        PRIVACY[privacy],
        model={"softmax_items": 5},
        adapter={"item_delta": True, "private": ("item_bias*", "item_delta*", "*lora_A*")},
        training={"steps": 3, "lr": 0.1, "sampling_rate": 0.6},
    )
    generator = torch.Generator().manual_seed(3)
    private = {
        name: torch.randn(4, *value.shape, generator=generator, dtype=value.dtype)
        for name, value in made.start.items()
        if is_private(name, made.model, made.experiment.adapter)
    }
    assert_same(made, [4, 0, 2, 1], private=private, **PULL)
    assert_same(made, [0, 2], **PULL)


@pytest.mark.parametrize("privacy", PRIVACY)
def test_also_with_a_frozen(privacy):
    made = context(LONG, MANY, PRIVACY[privacy], adapter={"freeze_a": True}, training={"steps": 2, "lr": 0.1})
    assert not [name for name in made.start if "lora_A" in name]
    assert_same(made, range(6))


def test_an_answer_depends_neither_on_who_else_is_asked_nor_on_their_order():
    made = context(LONG, MANY, PRIVACY["local"], training={"steps": 2, "sampling_rate": 0.6})
    alone = train_cohort(made, cohort_task(made, [2])).parameters
    among = train_cohort(made, cohort_task(made, [5, 2, 0])).parameters
    for name, value in alone.items():
        torch.testing.assert_close(value[0], among[name][1], **EXACT)


def test_a_cohort_leaves_the_bench_as_it_was():
    made = context(LONG, MANY, PRIVACY["local"])
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    shared = dict(made.shared_start)
    train_cohort(made, cohort_task(made, range(6)))
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())
    assert all(torch.equal(value, shared[name]) for name, value in made.shared_start.items())


def test_noise_has_the_planned_deviation_no_bias_and_is_nobodys_twin():
    """Update - noiseless update = normal(0, clip * multiplier / expected batch), here 0.5 * 3 / 2 = 0.75.

    Bounds as in `test_client_training`: five deviations, which fail once in two million seeds.
    """
    clients = [[0, 1]] * 30
    loud = context(SEQUENCES, clients, plan("local", noise=3.0, clip=0.5))
    quiet = context(SEQUENCES, clients, plan("local", noise=0.0, clip=0.5))
    after, silent = (train_cohort(made, cohort_task(made, range(30))).parameters for made in (loud, quiet))
    noise = torch.cat([(after[name] - silent[name]).flatten(1) for name in after], dim=1) / 0.75
    count = noise.numel()
    assert abs(noise.square().mean().item() - 1) < 5 * math.sqrt(2 / count)
    assert abs(noise.mean().item()) < 5 / math.sqrt(count)
    assert abs(30 * noise.mean(dim=0).square().mean().item() - 1) < 5 * math.sqrt(2 / noise.shape[1])


def test_clipping_is_over_all_parameters_together():
    # norms 5 and 0.5 under a clip of 1: 3 / (5 + 1e-6), 4 / (5 + 1e-6); the short one stays
    rows = {
        "a": torch.tensor([[3.0], [0.3]], dtype=torch.float64),
        "b": torch.tensor([[4.0], [0.4]], dtype=torch.float64),
    }
    clip_(rows, 1.0)
    assert rows["a"].tolist() == [[pytest.approx(3 / 5.000001, rel=1e-12)], [0.3]]
    assert rows["b"].tolist() == [[pytest.approx(4 / 5.000001, rel=1e-12)], [0.4]]


@pytest.mark.parametrize("privacy", ["open", "central"])
def test_a_client_whose_loss_is_not_finite_fails_alone_and_is_named_with_round_and_step(privacy):
    made = context(LONG, MANY, PRIVACY[privacy], adapter={"private": ("item_bias*",)}, training={"steps": 2})
    bias = made.start["item_bias.weight"].expand(3, -1, -1).clone()
    bias[1, 0] = math.nan
    found = train_cohort(made, cohort_task(made, [0, 2, 4], private={"item_bias.weight": bias}))
    assert list(found.clients) == [0, 4]
    assert found.failures == {2: "FedrecError: loss of client 2 is nan in round 2, step 1; lower training.lr"}
    with pytest.raises(FedrecError, match="loss of client 2 is nan in round 2, step 1"):
        train_client(made, task(made, 2, 2, private={"item_bias.weight": bias[1:2]}))
    healthy = train_cohort(made, cohort_task(made, [0, 4], private={"item_bias.weight": bias[[0, 2]]}))
    assert torch.equal(
        moved(found.parameters, healthy.parameters), torch.zeros(sum(v.numel() for v in healthy.parameters.values()))
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_under_local_trust_an_example_that_is_not_finite_adds_nothing_and_betrays_nobody(
    monkeypatch, noise, value, optimizer
):
    # User 0, whose sequence alone begins with item 0, has a loss that is not finite. Client 0 has it beside others,
    # client 1 has nobody else, client 2 has not got it: all answer as if user 0 had nothing to train on.
    right = NextItem.losses

    def losses(task, model, batch, sample, items):
        return right(task, model, batch, sample, items) * torch.where(batch["history"][:, 0] == 0, value, 1.0)

    how = {"training": {"optimizer": optimizer, "lr": 0.1, "steps": 2}}
    clients, private = ([0, 1, 3], [0], [2]), plan("local", noise=noise, clip=0.5)
    made, rest = context(SEQUENCES, clients, private, **how), context(([0], *SEQUENCES[1:]), clients, private, **how)
    with monkeypatch.context() as patch:
        patch.setattr(NextItem, "losses", losses)
        assert_same(made, range(3))
        found = train_cohort(made, cohort_task(made, range(3)))
    # What is left out leaves the denominators as they were, which count users held: 3 and 1.
    without = train_cohort(rest, cohort_task(rest, range(3)))
    for name, values in found.parameters.items():
        assert values.isfinite().all()
        torch.testing.assert_close(values, without.parameters[name], **EXACT)


def test_a_client_whose_own_parameters_are_not_finite_answers_with_its_noise_like_everybody_else():
    made = context(LONG, MANY, PRIVACY["local"], adapter={"private": ("item_bias*",)}, training={"steps": 2})
    bias = made.start["item_bias.weight"].expand(3, -1, -1).clone()
    bias[1, 0] = math.nan
    found = train_cohort(made, cohort_task(made, [0, 2, 4], private={"item_bias.weight": bias}))
    wanted = train_client(made, task(made, 2, 2, private={"item_bias.weight": bias[1:2]})).parameters
    assert not found.failures
    for name, values in found.parameters.items():
        assert values[1].isfinite().all()
        assert (values[1] != made.start[name]).all()
        torch.testing.assert_close(values[1], wanted[name][0], **EXACT)


def test_where_clients_add_up_in_secret_one_that_ends_in_nan_changes_nothing_instead_of_dropping_out():
    secret = replace(plan("central", noise=1.0, clip=0.5), trust="secure-aggregation")
    made = context(LONG, MANY, secret, adapter={"private": ("item_bias*",)}, training={"steps": 2})
    bias = made.start["item_bias.weight"].expand(3, -1, -1).clone()
    bias[1, 0] = math.nan
    found = train_cohort(made, cohort_task(made, [0, 2, 4], private={"item_bias.weight": bias}))
    one = train_client(made, task(made, 2, 2, private={"item_bias.weight": bias[1:2]}))
    assert not found.failures
    for name, start in made.shared_start.items():
        assert (found.parameters[name][1] == start).all()
        assert (one.parameters[name] == start).all()
    for kept in (found.private["item_bias.weight"][1], one.private["item_bias.weight"][0]):
        torch.testing.assert_close(kept, bias[1], **EXACT, equal_nan=True)
    healthy = train_cohort(made, cohort_task(made, [0, 4], private={"item_bias.weight": bias[[0, 2]]}))
    for name, values in healthy.parameters.items():
        torch.testing.assert_close(found.parameters[name][[0, 2]], values, **EXACT)


@pytest.mark.parametrize("privacy", PRIVACY)
def test_parameters_that_were_sent_and_are_not_finite_are_no_secret_and_nobody_trains_on_them(privacy):
    made = context(LONG, MANY, PRIVACY[privacy])
    lost = replace(cohort_task(made, [3, 0]), parameters={n: v * math.inf for n, v in made.shared_start.items()})
    with pytest.raises(FedrecError, match="client 3 was sent NaN or infinity in blocks"):
        train_cohort(made, lost)
    with pytest.raises(FedrecError, match="client 0 was sent NaN or infinity in blocks"):
        train_client(made, replace(task(made, 0), parameters=lost.parameters))


@pytest.mark.parametrize("adapter", ADAPTERS.names())
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_client_without_data_changes_nothing_whatever_pulls_it(adapter, optimizer):
    # Under central trust the bit of adaptive clipping is 0 of such a client alone: its change has to be 0 exactly.
    # Client 3 has one user with one interaction, client 6 has no user at all; 3 steps, each on an empty batch.
    made = context(
        LONG,
        (*MANY, []),
        PRIVACY["central"],
        adapter={"name": adapter, "item_delta": True, "private": ("item_bias*",)},
        training={"optimizer": optimizer, "lr": 0.1, "steps": 3},
    )
    own = {"item_bias.weight": made.start["item_bias.weight"].expand(2, -1, -1) + 0.5}
    found = train_cohort(made, cohort_task(made, [3, 6], private=own, **PULL))
    one = train_client(made, task(made, 6, 2, private={name: value[1:] for name, value in own.items()}, **PULL))
    for name, start in made.shared_start.items():
        assert (found.parameters[name] == start).all()
        assert (one.parameters[name] == start).all()


def test_parameters_that_are_not_the_adapters_are_refused():
    made = context()
    alien = replace(cohort_task(made, [0]), parameters={**made.shared_start, "norm.weight": torch.ones(8)})
    with pytest.raises(FedrecError, match=r"norm\.weight"):
        train_cohort(made, alien)


def test_float32_agrees_within_one_millionth_after_a_step():
    made = context(LONG, MANY, PRIVACY["local"], training={"lr": 0.1})
    made.model.float()
    made = replace(made, start={name: value.float() for name, value in made.start.items()})
    found = train_cohort(made, cohort_task(made, range(6)))
    for client, update in found.each():
        wanted = train_client(made, task(made, client, 2))
        for name, value in wanted.parameters.items():
            np.testing.assert_allclose(update.parameters[name], value, rtol=0, atol=1e-6)
