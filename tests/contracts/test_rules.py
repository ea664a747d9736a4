"""What every client rule keeps: those that are registered, and those that a strategy of ours names."""

from dataclasses import replace

import pytest
import torch

from fedrec.training.client import train_client
from fedrec.training.rules.base import RULES, LocalWork
from fedrec.training.rules.round import build_rule
from fedrec.training.vectorized import train_cohort
from server.strategies import STRATEGIES
from server.strategies.build import adopt
from tests.handmade import CLIENTS, context, plan, task
from tests.tiny import strategy_context

WORK = LocalWork(steps=3, lr=0.1, optimizer="sgd")
NAMED = [adopt(STRATEGIES.get(name), strategy_context(), {}) for name in STRATEGIES.names()]
USED = {strategy.rule: strategy.client_config() for strategy in NAMED}
EACH = pytest.mark.parametrize("rule", USED)


def drawn(like, *rows):
    generator = torch.Generator().manual_seed(5)
    return {n: torch.randn(*rows, *value.shape, generator=generator, dtype=torch.float64) for n, value in like.items()}


def asked(made, rule, **more):
    """Return the task of all clients, with extras and kept arrays that are far from 0."""
    built = build_rule(rule, USED[rule], WORK)
    extras = drawn(built.extras_like(made.shared_start))
    kept = drawn(built.kept_start(made.shared_start), len(CLIENTS))
    whole = task(made, rule=rule, options=USED[rule], extras=extras, kept=kept)
    return replace(whole, clients=range(len(CLIENTS)), **more)


def answered(privacy=None):
    return context(
        privacy=privacy,
        training={"steps": 3, "lr": 0.1, "sampling_rate": 0.6},
        adapter={"private": ("item_bias*",), "item_delta": True},
    )


def test_every_registered_rule_is_used_by_a_strategy():
    assert set(RULES.names()) <= set(USED)


@EACH
@pytest.mark.parametrize("privacy", [plan(), plan("local", noise=1.5, clip=0.5)], ids=["open", "local"])
def test_many_clients_answer_as_each_does_alone(rule, privacy):
    made = answered(privacy)
    whole = asked(made, rule)
    together = train_cohort(made, whole)
    for row, alone in enumerate(whole.each()):
        for one in (train_client(made, alone), train_cohort(made, alone)):
            for part in ("parameters", "private", "extras", "kept"):
                ours, theirs = getattr(together, part), getattr(one, part)
                assert ours.keys() == theirs.keys()
                for name, value in theirs.items():
                    torch.testing.assert_close(ours[name][row : row + 1], value, rtol=0, atol=1e-9)


@EACH
def test_it_answers_what_it_announced_and_knows_nothing_of_private_parameters(rule):
    made = answered()
    built, update = build_rule(rule, USED[rule], WORK), train_cohort(made, asked(made, rule))
    for found, like in ((update.extras, built.payload_like), (update.kept, built.kept_start)):
        wanted = {name: (len(CLIENTS), *value.shape) for name, value in like(made.shared_start).items()}
        assert {name: tuple(value.shape) for name, value in found.items()} == wanted


@EACH
def test_a_first_round_without_kept_arrays_starts_from_those_it_says(rule):
    made = answered()
    start = build_rule(rule, USED[rule], WORK).kept_start(made.shared_start)
    first = train_cohort(made, asked(made, rule, kept={}))
    same = {name: value.expand(len(CLIENTS), *value.shape) for name, value in start.items()}
    again = train_cohort(made, asked(made, rule, kept=same))
    for part in ("parameters", "extras", "kept"):
        for name, value in getattr(first, part).items():
            assert torch.equal(value, getattr(again, part)[name])


@EACH
@pytest.mark.parametrize("train", [train_client, train_cohort])
def test_what_it_is_given_stays_as_it_was(rule, train):
    made = answered()
    whole = next(asked(made, rule).each())
    parts = [whole.parameters, whole.extras, whole.kept]
    copies = [{name: value.clone() for name, value in part.items()} for part in parts]
    train(made, whole)
    for part, copy in zip(parts, copies, strict=True):
        assert all(torch.equal(value, copy[name]) for name, value in part.items())


@EACH
@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
def test_where_sums_are_noised_a_client_without_data_changes_nothing(rule, trust):
    made = context(([5], [3, 1]), ([0], [1], []), plan("central", noise=1.0), training={"steps": 2})
    made = replace(made, plan=replace(made.plan, trust=trust))
    update = train_cohort(made, asked(made, rule))
    for name, start in made.shared_start.items():
        assert (update.parameters[name][[0, 2]] == start).all()


@EACH
def test_what_it_is_stands_in_its_docstring(rule):
    assert (RULES.get(rule).__doc__ or "").strip()
