"""Client work against plain autograd, one example at a time, in float64: what the mathematics says, to 1e-9."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.core.errors import FedrecError
from fedrec.models.adapters import trained_parameters
from fedrec.training.client import draw_batch, train_client
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import train_cohort
from tests.handmade import context, moved, plan, task

EXACT = {"rtol": 0, "atol": 1e-9}
HUGE = 1e6
PRIVATE = plan("local", noise=1.0, clip=0.5)


def gradients(made, client: int = 0) -> torch.Tensor:
    """Return each example's gradient at the start, `[examples, parameters]`, by autograd without Opacus."""
    rows = []
    for example in examples_of(made, client):
        loss = made.task.losses(made.model, made.task.collate([example]), None).sum()
        parts = torch.autograd.grad(loss, list(trained_parameters(made.model).values()))
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def examples_of(made, client: int = 0) -> list:
    """Return all of the client's examples, a sequence longer than the window by its last one."""
    examples = made.examples(client)
    return examples.cut(np.arange(len(examples)), None)


def change(made, **of_task) -> torch.Tensor:
    return moved(train_client(made, task(made, **of_task)).parameters, made.start)


def test_a_large_batch_in_parts_is_the_same_step(monkeypatch):
    made = context()
    whole, scored = change(made), []
    monkeypatch.setattr("fedrec.tasks.base.MOST_SCORES", 1)  # no part has less than a row
    made.model.register_forward_hook(lambda model, inputs, scores: scored.append(len(scores)))
    torch.testing.assert_close(change(made), whole, **EXACT)
    assert len(scored) > 1
    assert set(scored) == {1}


def first_empty_round(made, client: int = 0) -> int:
    examples = made.examples(client)
    return next(r for r in range(1, 99) if not draw_batch(made, r, client, examples, 0))


def test_one_step_of_rate_one_is_the_mean_gradient():
    torch.testing.assert_close(change(context()), -gradients(context()).mean(dim=0), **EXACT)


@pytest.mark.parametrize("privacy", [plan("local", clip=HUGE), plan("none")])
def test_a_user_whose_data_go_away_does_not_change_the_denominator(privacy):
    # Client 0 holds two users. With the second one's data gone, the first's gradient is still divided by 2.
    zeroed = context([[0, 1, 2, 3], [], [5, 6], [1, 3, 5, 0]], privacy=privacy)
    only = gradients(zeroed)
    assert len(only) == 1
    torch.testing.assert_close(change(zeroed), -only[0] / 2, **EXACT)
    many = train_cohort(zeroed, CohortTask((0, 1), 1, zeroed.shared_start))
    vectorised = {name: value[0] for name, value in many.parameters.items()}
    torch.testing.assert_close(moved(vectorised, zeroed.start), -only[0] / 2, **EXACT)


def test_loss_is_the_mean_and_weight_the_number_of_examples():
    made = context()
    losses = made.task.losses(made.model, made.task.collate(examples_of(made)), None)
    update = train_client(made, task(made))
    assert update.weights == [2]
    assert update.losses == [pytest.approx(losses.mean().item())]


def test_opacus_without_noise_and_with_a_huge_clip_is_the_plain_step():
    torch.testing.assert_close(change(context(privacy=plan("local", clip=HUGE))), change(context()), **EXACT)


def test_several_private_steps_without_noise_and_clip_are_the_plain_steps():
    steps = {"steps": 3, "lr": 0.5, "sampling_rate": 0.5}
    torch.testing.assert_close(
        change(context(privacy=plan("local", clip=HUGE), training=steps)), change(context(training=steps)), **EXACT
    )


@pytest.mark.parametrize("share", [0.5, 0.9, 1.1])
def test_every_examples_gradient_is_clipped_by_itself(share):
    # sum over examples of g * min(1, clip / (|g| + 1e-6)), the 1e-6 being Opacus', over the expected batch of 2
    each = gradients(context())
    norms = each.norm(dim=1)
    clip = share * norms.max().item()
    clipped = each * (clip / (norms + 1e-6)).clamp(max=1)[:, None]
    torch.testing.assert_close(change(context(privacy=plan("local", clip=clip))), -clipped.sum(dim=0) / 2, **EXACT)
    assert change(context(privacy=plan("local", clip=clip))).norm() <= clip


def test_noise_has_the_planned_deviation_and_no_bias():
    """Update - noiseless update = normal(0, clip * multiplier / expected batch), here 0.5 * 3 / 2 = 0.75.

    Over N values the mean square lies within 5 * sqrt(2 / N) of 1 and the mean within 5 / sqrt(N) of 0, in units of
    the deviation; five deviations fail once in two million seeds.
    """
    made = context(privacy=plan("local", noise=3.0, clip=0.5))
    silent = change(context(privacy=plan("local", noise=0.0, clip=0.5)))
    noise = torch.stack([change(made, round=number) - silent for number in range(1, 31)]) / 0.75
    count = noise.numel()
    assert abs(noise.square().mean().item() - 1) < 5 * math.sqrt(2 / count)
    assert abs(noise.mean().item()) < 5 / math.sqrt(count)
    # rounds do not share their noise: the mean over 30 rounds has a 30th of the variance
    assert abs(30 * noise.mean(dim=0).square().mean().item() - 1) < 5 * math.sqrt(2 / noise.shape[1])


def test_clients_rounds_and_steps_do_not_share_noise():
    made = context(privacy=PRIVATE, clients=([2], [2]))
    assert not torch.equal(change(made, client=0), change(made, client=1))
    assert not torch.equal(change(made, client=0), change(made, client=0, round=2))
    empty = context(sequences=[[5]], clients=([0],), privacy=PRIVATE, training={"steps": 2, "lr": 1.0})
    once = context(sequences=[[5]], clients=([0],), privacy=PRIVATE)
    first, both = change(once), change(empty)
    assert not torch.allclose(both, 2 * first)


@pytest.mark.parametrize("privacy", [plan(), PRIVATE], ids=["plain", "private"])
def test_a_task_gives_the_same_bits_whatever_ran_before(privacy):
    fresh = train_client(context(privacy=privacy), task(context(), client=1, round=3))
    used = context(privacy=privacy)
    start = task(used, client=1, round=3)
    train_client(used, task(used, client=0, round=1))
    poisoned = {name: torch.full_like(value, math.nan) for name, value in used.shared_start.items()}
    with pytest.raises(FedrecError, match="client 2 was sent NaN or infinity in "):
        train_client(used, replace(start, clients=[2], round=2, parameters=poisoned))
    for _ in range(2):
        again = train_client(used, start)
        assert all(torch.equal(again.parameters[name], value) for name, value in fresh.parameters.items())


def test_a_task_that_broke_off_in_the_middle_spoils_no_later_one(monkeypatch):
    used = context(privacy=PRIVATE)
    expected = change(context(privacy=PRIVATE))
    with monkeypatch.context() as patch:
        patch.setattr("fedrec.training.steps.PrivateStep.differentiate", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            change(used)
    assert torch.equal(change(used), expected)


def test_what_was_sent_is_left_as_it_was():
    made = context()
    sent = task(made)
    before = {name: value.clone() for name, value in sent.parameters.items()}
    train_client(made, sent)
    assert all(torch.equal(sent.parameters[name], value) for name, value in before.items())


def test_an_empty_batch_stands_still_without_privacy():
    made = context(training={"sampling_rate": 0.1, "lr": 1.0})
    update = train_client(made, task(made, round=first_empty_round(made)))
    assert moved(update.parameters, made.start).abs().max() == 0
    assert (update.losses, update.weights) == ([None], [2])


def test_an_empty_batch_still_moves_by_its_noise_under_privacy():
    made = context(training={"sampling_rate": 0.1, "lr": 1.0}, privacy=PRIVATE)
    noise = change(made, round=first_empty_round(made))
    # 0.1 * 2 examples are expected, but the denominator is at least 1: the deviation is 0.5 * 1 / 1
    assert abs((noise / 0.5).square().mean().item() - 1) < 5 * math.sqrt(2 / len(noise))


def test_batches_are_poisson():
    # 2 examples at rate 0.3 in 400 rounds: 240 expected, deviation sqrt(800 * 0.3 * 0.7) = 13
    made = context(training={"sampling_rate": 0.3, "lr": 1.0})
    examples = made.examples(0)
    sizes = [len(draw_batch(made, number, 0, examples, 0)) for number in range(400)]
    assert abs(sum(sizes) - 240) < 5 * math.sqrt(168)
    assert set(sizes) == {0, 1, 2}


@pytest.mark.parametrize("trust", ["local", "central"])
def test_under_privacy_neither_loss_nor_number_of_examples_is_told(trust):
    update = train_client(made := context(privacy=plan(trust, noise=1.0)), task(made))
    assert (update.weights, update.losses) == ([1.0], [None])


def test_a_client_without_examples_answers_with_what_it_was_sent():
    made = context(sequences=[[5], [3]], clients=([0, 1],))
    update = train_client(made, task(made))
    assert moved(update.parameters, made.start).abs().max() == 0
    assert (update.weights, update.losses) == ([0.0], [None])


def test_a_client_without_examples_adds_its_noise_under_privacy():
    made = context(sequences=[[5], [3]], clients=([0, 1],), privacy=PRIVATE)
    assert change(made).abs().min() > 0


@pytest.mark.parametrize("privacy", [plan(), PRIVATE], ids=["plain", "private"])
def test_fedprox_pulls_by_mu_times_the_way_from_the_global_adapter(privacy):
    # the first step starts at the anchor and feels no pull; the second one feels mu * (w1 - w0), at rate 0.5
    def walk(steps, mu):
        return change(
            context(privacy=privacy, training={"steps": steps, "lr": 0.5}), rule="proximal", options={"mu": mu}
        )

    assert torch.equal(walk(1, mu=0.3), walk(1, mu=0.0))
    torch.testing.assert_close(walk(2, mu=0.3) - walk(2, mu=0.0), -0.5 * 0.3 * walk(1, mu=0.0), **EXACT)


def test_a_private_parameter_is_not_pulled():
    def walk(mu):
        made = context(adapter={"rank": 2, "private": ["item_bias*"]}, training={"steps": 2, "lr": 0.5})
        return train_client(made, task(made, rule="proximal", options={"mu": mu}))

    pulled, free = walk(0.3), walk(0.0)
    assert torch.equal(pulled.private["item_bias.weight"], free.private["item_bias.weight"])
    assert not torch.equal(pulled.parameters["item_projection.weight"], free.parameters["item_projection.weight"])


def test_adam_moves_every_parameter_by_its_rate_in_the_first_step():
    moves = change(context(training={"optimizer": "adam", "lr": 0.01}))
    gradient = gradients(context()).mean(dim=0)
    large = gradient.abs() > 1e-4
    torch.testing.assert_close(moves[large], -0.01 * gradient[large].sign(), rtol=0, atol=1e-5)


def test_a_sampled_softmax_trains_under_opacus_as_it_does_plainly():
    sampled = {"model": {"softmax_items": 4}}
    torch.testing.assert_close(
        change(context(privacy=plan("local", clip=HUGE), **sampled)), change(context(**sampled)), **EXACT
    )
    assert not torch.allclose(change(context(**sampled)), change(context()))


def test_prefixes_weigh_every_target_alike():
    # client 0 holds users of 3 and 4 targets: 7 prefixes
    made = context(training={"example": "prefix", "lr": 1.0})
    assert train_client(made, task(made)).weights == [7]
    torch.testing.assert_close(change(made), -gradients(context(training={"example": "prefix"})).mean(dim=0), **EXACT)


@pytest.mark.parametrize("wrong", ["missing", "unknown", "misshapen"])
def test_a_task_that_carries_another_adapter_is_refused(wrong):
    made = context()
    sent = task(made)
    parameters = dict(sent.parameters)
    if wrong == "missing":
        del parameters["item_bias.weight"]
    elif wrong == "unknown":
        parameters["blocks.0.feed_norm.weight"] = torch.ones(8)
    else:
        parameters["item_bias.weight"] = torch.ones(7)
    with pytest.raises(FedrecError, match=r"client 0 was sent what is not its adapter: (item_bias|blocks.0.feed_norm)"):
        train_client(made, replace(sent, parameters=parameters))
