"""Client rules: what they are given and answer is checked, and no rule breaks a claim."""

from dataclasses import replace

import pytest
import torch

from fedrec.core.errors import ConfigError, FedrecError
from fedrec.training.client import train_client
from fedrec.training.rules.base import RULES, LocalWork, Rule
from fedrec.training.rules.proximal import Proximal
from fedrec.training.rules.round import build_rule
from fedrec.training.rules.wire import from_config, to_config
from fedrec.training.vectorized import train_cohort
from tests.handmade import SEQUENCES, context, plan, task

WORK = LocalWork(steps=2, lr=0.5, optimizer="sgd")
HERE = f"{__name__}:"


class Averager(Rule):
    """Keeps and sends how far it came, of every parameter; asks for a shift, and adds it to the gradient."""

    def extras_like(self, before):
        return {"shift": next(iter(before.values()))}

    def payload_like(self, before):
        return dict(before)

    def kept_start(self, before):
        return {name: torch.zeros_like(value) for name, value in before.items()}

    def init(self, before, extras, kept):
        return next(iter(before)), extras["shift"], kept

    def direction(self, gradient, parameters, state):
        name, shift, _ = state
        return {**gradient, name: gradient[name] + shift}

    def final(self, before, after, state):
        moved = {name: after[name] - value for name, value in before.items()}
        return moved, {name: kept + moved[name] for name, kept in state[2].items()}


class Drifting(Rule):
    """Moves by 1 a step, data or none."""

    def direction(self, gradient, parameters, state):
        return {name: torch.ones_like(value) for name, value in gradient.items()}


class Short(Rule):
    """Forgets a parameter's direction."""

    def direction(self, gradient, parameters, state):
        return dict(list(gradient.items())[1:])


class Meddling(Rule):
    """Answers for what travels where it is asked for what stays."""

    def private_direction(self, gradient, parameters, state):
        return {name: value for name, value in parameters.items() if name not in gradient}


class Chatty(Rule):
    """Sends what it did not announce."""

    def final(self, before, after, state):
        return {"secret": torch.zeros(len(next(iter(after.values()))), 3)}, {}


def test_the_proximal_direction_by_hand():
    # g + mu * (w - w_global): 1 + 0.5 * (4 - 2) = 2 for one client, -1 + 0.5 * (0 - 2) = -2 for the other
    rule = Proximal(WORK, mu=0.5)
    state = rule.init({"w": torch.tensor([[2.0], [2.0]])}, {}, {})
    turned = rule.direction({"w": torch.tensor([[1.0], [-1.0]])}, {"w": torch.tensor([[4.0], [0.0]])}, state)
    assert turned["w"].tolist() == [[2.0], [-2.0]]


def test_a_message_names_its_rule_and_its_options_and_a_plain_one_says_nothing():
    assert to_config("plain", {}) == {}
    told = to_config("proximal", {"mu": 1})
    assert told == {"rule": "proximal", "rule-mu": 1.0}
    assert from_config({**told, "run": "here"}) == ("proximal", {"mu": 1.0})
    assert from_config({"run": "here"}) == ("plain", {})
    with pytest.raises(FedrecError, match="rule-mu is 'much'"):
        from_config({"rule-mu": "much"})


def test_an_unknown_rule_or_option_is_named():
    with pytest.raises(ConfigError, match="unknown client rule 'proximall'; did you mean 'proximal'"):
        build_rule("proximall", {}, WORK)
    with pytest.raises(ConfigError, match=r"'plain' does not take the options \{'mu': 1.0\}"):
        build_rule("plain", {"mu": 1.0}, WORK)


@pytest.mark.parametrize("rule", [*RULES.names(), f"{HERE}Averager"])
@pytest.mark.parametrize("privacy", [plan(), plan("local", noise=1.5, clip=0.5)], ids=["open", "local"])
def test_a_cohort_of_many_answers_as_cohorts_of_one(rule, privacy):
    made = context(privacy=privacy, training={"steps": 3, "lr": 0.1}, adapter={"private": ("item_bias*",)})
    options = {"mu": 0.7} if rule == "proximal" else {}
    first = next(iter(made.shared_start.values()))
    extras = {"shift": torch.full_like(first, 0.1)} if rule.startswith(HERE) else {}
    kept = {name: torch.randn(3, *v.shape).double() for name, v in made.shared_start.items()} if extras else {}
    asked = replace(task(made, rule=rule, options=options, extras=extras, kept=kept), clients=[0, 1, 2])
    together = train_cohort(made, asked)
    for row, alone in enumerate(asked.each()):
        one = train_client(made, alone)
        for part in ("parameters", "private", "extras", "kept"):
            ours, theirs = getattr(together, part), getattr(one, part)
            assert ours.keys() == theirs.keys()
            for name, value in theirs.items():
                torch.testing.assert_close(ours[name][row : row + 1], value, rtol=0, atol=1e-9)
    if extras:
        for name, start in made.shared_start.items():
            moved = together.parameters[name] - start
            torch.testing.assert_close(together.extras[name], moved)
            torch.testing.assert_close(together.kept[name], kept[name] + moved)
        assert "item_bias.weight" not in {*together.extras, *together.kept}


@pytest.mark.parametrize("train", [train_client, train_cohort])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rule": f"{HERE}Averager"}, "was sent the extras 'shift' of shape none at all instead of"),
        ({"rule": "plain", "extras": {"shift": torch.zeros(2)}}, r"'shift' of shape \[2\] instead of none at all"),
        ({"rule": f"{HERE}Short"}, "has the direction"),
        ({"rule": f"{HERE}Meddling"}, "has the direction"),
        ({"rule": f"{HERE}Chatty"}, r"has the payload 'secret' of shape \[1, 3\] instead of none at all"),
        ({"rule": "proximal"}, "does not take the options"),
    ],
)
def test_what_a_rule_is_sent_and_answers_must_be_what_it_promised(train, asked, said):
    made = context()
    with pytest.raises(FedrecError, match=said):
        train(made, task(made, **asked))


@pytest.mark.parametrize("train", [train_client, train_cohort])
def test_extras_that_are_not_finite_are_refused(train):
    made = context()
    shift = torch.full_like(next(iter(made.shared_start.values())), torch.inf)
    with pytest.raises(FedrecError, match="NaN or infinity in the extras shift"):
        train(made, task(made, rule=f"{HERE}Averager", extras={"shift": shift}))


@pytest.mark.parametrize("train", [train_client, train_cohort])
def test_what_is_not_finite_is_not_kept(train):
    # One step of about 1e308 * 1e308 is infinite, and so is the sum of all steps: that kept stays what it was, 5.
    made = context(privacy=plan("local", noise=0.0, clip=0.5), training={"lr": 1e308})
    start = made.shared_start
    kept = {name: torch.full_like(value, 5.0)[None] for name, value in start.items()}
    shift = torch.full_like(next(iter(start.values())), 1e308)
    update = train(made, task(made, rule=f"{HERE}Averager", extras={"shift": shift}, kept=kept))
    assert not all(value.isfinite().all() for value in update.parameters.values())
    assert all((value == 5.0).all() for value in update.kept.values())


@pytest.mark.parametrize("train", [train_client, train_cohort])
@pytest.mark.parametrize("trust", ["none", "central", "secure-aggregation"])
def test_where_sums_are_noised_a_client_without_data_moves_by_nothing_whatever_its_rule(train, trust):
    # Its change may differ from that of the same client with data by one clip norm: it has to be 0.
    made = context(([5], *SEQUENCES[1:]), ([0], [1]), replace(plan("central", noise=1.0), trust=trust))
    alone, other = (train(made, task(made, client, rule=f"{HERE}Drifting")).parameters for client in (0, 1))
    for name, start in made.shared_start.items():
        assert (other[name] != start).all()
        assert ((alone[name] == start) == (trust != "none")).all()
