"""What every client rule keeps: pure functions of stacks, in which no client sees another."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import RULES, LocalWork, Rule, Stack
from fedrec.training.rules.round import build_rule
from simulations.testing.contract import Contract

CLIENTS = 3
SHAPES = {"w": (4,), "u.weight": (2, 3)}
PRIVATE = {"personal_w": (4,), "own": (3,)}
"""Parameters that stay with their client, one of which is `w`'s own."""

ROUNDING = 1e-9


class RuleContract(Contract):
    """The laws of a client rule, on three clients with a gradient that draws each to a place of its own.

    Attributes:
        options: What the strategy's `client_config` would say.
        plain: Options with which the rule is plain training; None if there are none.
        work: What every client does in a round.
    """

    options: Mapping[str, float] = {}
    plain: Mapping[str, float] | None = None
    work: ClassVar[LocalWork] = LocalWork(steps=3, lr=0.2, optimizer="sgd")

    @pytest.fixture
    def rule(self, plugin: str) -> Rule:
        """The rule."""
        return build_rule(plugin, self.options, self.work)

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (RULES.get(plugin).__doc__ or "").strip()

    def test_an_option_that_it_does_not_have_is_refused_by_name(self, plugin: str) -> None:
        with pytest.raises(ConfigError, match="no_such_option"):
            build_rule(plugin, {**self.options, "no_such_option": 9.0}, self.work)

    def test_what_it_asks_for_sends_and_keeps_is_known_before_the_run(self, rule: Rule) -> None:
        adapter, again = drawn("adapter"), drawn("other numbers")
        for promise in (rule.extras_like, rule.payload_like, rule.kept_start):
            assert shapes(promise(adapter)) == shapes(promise(again)), "names and shapes follow from the adapter's"
        assert all(value.isfinite().all() for value in rule.kept_start(adapter).values())

    def test_it_answers_with_the_names_and_shapes_that_it_promised(self, rule: Rule) -> None:
        seen = Round(rule)
        before = {name: value[0] for name, value in seen.before.items()}
        for found, like in ((seen.payload, rule.payload_like(before)), (seen.kept, rule.kept_start(before))):
            assert shapes(found) == {name: (CLIENTS, *value.shape) for name, value in like.items()}
        assert all(shapes(direction) == shapes(seen.before) for direction in seen.directions)
        assert all(shapes(direction) == shapes(seen.private) for direction in seen.private_directions)
        assert shapes(rule.personal(seen.before, seen.kept)) == shapes(seen.before)

    def test_what_is_finite_stays_finite_over_rounds(self, rule: Rule) -> None:
        seen = Round(rule)
        for _ in range(3):
            seen = Round(rule, kept=seen.kept)
            found = [*seen.directions, *seen.private_directions, seen.after, seen.private, seen.payload, seen.kept]
            assert all(value.isfinite().all() for stack in found for value in stack.values())

    def test_a_cohort_does_what_its_clients_do_one_at_a_time(self, rule: Rule) -> None:
        first, second = Round(rule), Round(rule, kept=Round(rule).kept)
        for seen, kept in ((first, None), (second, first.kept)):
            for client in range(CLIENTS):
                alone = Round(rule, kept=kept, clients=[client])
                for name in ("after", "private", "payload", "kept"):
                    assert_equal(getattr(alone, name), rows(getattr(seen, name), [client]))

    def test_no_client_sees_another(self, rule: Rule) -> None:
        kept = Round(rule).kept
        seen, disturbed = Round(rule, kept=kept), Round(rule, kept=kept, disturb=2)
        for name in ("after", "private", "payload", "kept"):
            assert_equal(rows(getattr(seen, name), [0, 1]), rows(getattr(disturbed, name), [0, 1]))

    def test_it_leaves_what_it_is_given_and_gives_the_same_again(self, rule: Rule) -> None:
        before, extras, kept = stack("before"), rule.extras_like(drawn("extras")), Round(rule).kept
        gradient, parameters, after = stack("gradient"), everything("parameters"), stack("after")
        own = private("gradient")
        given = [before, extras, kept, gradient, parameters, after, own]
        copies = [{name: value.clone() for name, value in one.items()} for one in given]
        answers = []
        for _ in range(2):
            state = rule.init(before, extras, kept)
            turned = [rule.direction(gradient, parameters, state), rule.private_direction(own, parameters, state)]
            answers.append([*turned, *rule.final(before, after, state)])
        for one, copy in zip([*given, *answers[0]], [*copies, *answers[1]], strict=True):
            assert_equal(one, copy, exact=True)

    def test_with_its_plain_options_it_is_plain_training(self, plugin: str) -> None:
        if self.plain is not None:
            seen, plain = Round(build_rule(plugin, self.plain, self.work)), Round(Rule(self.work))
            assert_equal({**seen.after, **seen.private}, {**plain.after, **plain.private})


class Round:
    """A round of clients whose loss is half the squared distance to a place of their own.

    Args:
        rule: The rule.
        kept: What the clients of the whole cohort kept; what a first round starts with, if not given.
        clients: Which of them take part.
        disturb: The client whose place and kept arrays are others.

    Attributes:
        before: What the server sent.
        directions: What the optimiser was given, step by step.
        private_directions: The same for the parameters that stay.
        after: The parameters that travel after the last step.
        private: Those that stay.
        payload: What the clients send beside their change.
        kept: What they keep.
    """

    def __init__(
        self, rule: Rule, kept: Stack | None = None, clients: list[int] | None = None, disturb: int | None = None
    ) -> None:
        adapter, chosen = drawn("adapter"), clients or list(range(CLIENTS))
        places = everything("places")
        kept = dict(kept or repeated(rule.kept_start(adapter)))
        if disturb is not None:
            places, kept = disturbed(places, disturb), disturbed(kept, disturb)
        places, kept = rows(places, chosen), rows(kept, chosen)
        self.before = rows(repeated(adapter), chosen)
        extras = {name: 0.1 * torch.ones_like(value) for name, value in rule.extras_like(adapter).items()}
        state: Any = rule.init(self.before, extras, kept)
        self.after, self.private = dict(self.before), rows(private("start"), chosen)
        self.directions, self.private_directions = list[Stack](), list[Stack]()
        for _ in range(rule.work.steps):
            parameters = {**self.after, **self.private}
            shared, own = ({n: v - places[n] for n, v in some.items()} for some in (self.after, self.private))
            self.directions.append(rule.direction(shared, parameters, state))
            self.private_directions.append(rule.private_direction(own, parameters, state))
            self.after = moved(self.after, self.directions[-1], rule.work.lr)
            self.private = moved(self.private, self.private_directions[-1], rule.work.lr)
        self.payload, self.kept = rule.final(self.before, self.after, state)


def moved(values: Stack, direction: Stack, lr: float) -> dict[str, Tensor]:
    """Return the values after a step."""
    return {name: value - lr * direction[name] for name, value in values.items()}


def drawn(name: str, clients: tuple[int, ...] = (), like: Mapping[str, tuple[int, ...]] = SHAPES) -> dict[str, Tensor]:
    """Return normal numbers of the adapter's shapes, or of others, always the same of one name."""
    generator = torch.Generator().manual_seed(sum(name.encode()))
    shaped = {key: (*clients, *shape) for key, shape in like.items()}
    return {key: torch.randn(shape, generator=generator, dtype=torch.float64) for key, shape in shaped.items()}


def stack(name: str) -> dict[str, Tensor]:
    """Return such numbers for each client."""
    return drawn(name, (CLIENTS,))


def private(name: str) -> dict[str, Tensor]:
    """Return such numbers for what stays with each client."""
    return drawn(name, (CLIENTS,), PRIVATE)


def everything(name: str) -> dict[str, Tensor]:
    """Return such numbers for all that each client trains."""
    return {**stack(name), **private(name)}


def repeated(adapter: Stack) -> dict[str, Tensor]:
    """Return one client's arrays as those of all."""
    return {name: value.expand(CLIENTS, *value.shape) for name, value in adapter.items()}


def rows(values: Stack, clients: list[int]) -> dict[str, Tensor]:
    """Return the rows of some clients."""
    return {name: value[clients] for name, value in values.items()}


def disturbed(values: Stack, client: int) -> dict[str, Tensor]:
    """Return the stack with other numbers in a client's row."""
    row = torch.arange(CLIENTS) == client
    return {n: torch.where(row.view(-1, *(1,) * (v.dim() - 1)), 7.0 - v, v) for n, v in values.items()}


def shapes(values: Stack) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array."""
    return {name: tuple(value.shape) for name, value in values.items()}


def assert_equal(found: Stack, expected: Stack, *, exact: bool = False) -> None:
    """The arrays are equal by name, to the bit or up to rounding."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0 if exact else ROUNDING, msg=name)
