"""A rule at work on the clients of a task: what it is given is checked, what it answers is of the promised shapes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fedrec.core.errors import ConfigError, FedrecError
from fedrec.training.context import TrainingContext
from fedrec.training.rules.base import RULES, Adapter, LocalWork, Rule, Stack
from fedrec.training.task import CohortTask


def build_rule(name: str, options: Mapping[str, float], work: LocalWork) -> Rule:
    """Return the rule of this name, or of this `module:Class`.

    Raises:
        ConfigError: If it is unknown or does not take the options.
    """
    kind = RULES.get(name)
    try:
        return kind(work, **options)
    except (TypeError, ValueError) as error:
        message = f"the client rule {name!r} does not take the options {dict(options)}: {error}"
        raise ConfigError(message) from error


class RuleRound:
    """The rule of a task, and its state for the round.

    Args:
        context: What all tasks share.
        task: The clients, what they were sent and what they kept.

    Raises:
        ConfigError: If the rule is unknown or does not take its options.
        FedrecError: If the clients were sent other extras than the rule asks for, or such that are not finite.
    """

    def __init__(self, context: TrainingContext, task: CohortTask) -> None:
        device = context.device
        self.name = task.rule
        self.rule = build_rule(task.rule, task.options, LocalWork.of(context.experiment, task.round))
        adapter = {name: value.to(device) for name, value in task.parameters.items()}
        self._payload = self.rule.payload_like(adapter)
        extras = {name: value.to(device) for name, value in task.extras.items()}
        self._require("was sent the extras", extras, self.rule.extras_like(adapter))
        if lost := sorted(name for name, value in extras.items() if not value.isfinite().all()):
            message = f"the client rule {self.name!r} was sent NaN or infinity in the extras {', '.join(lost[:3])}"
            raise FedrecError(message)
        rows = len(task.clients)
        start = _rows(self.rule.kept_start(adapter), rows)
        self._kept = {name: task.kept[name].to(device) if task.kept else value for name, value in start.items()}
        self.before = _rows(adapter, rows)
        self._state = self.rule.init(self.before, extras, self._kept)

    def direction(self, gradient: Stack, parameters: Stack) -> Stack:
        """Return what the optimiser is given for each parameter.

        Raises:
            FedrecError: If the rule answers with other names or shapes.
        """
        shared = {name: gradient[name] for name in self.before}
        private = {name: value for name, value in gradient.items() if name not in shared}
        turned = self.rule.direction(shared, parameters, self._state)
        self._require("has the direction", turned, shared)
        own = self.rule.private_direction(private, parameters, self._state)
        self._require("has the direction", own, private)
        return {**turned, **own}

    def final(self, after: Stack) -> tuple[Stack, Stack]:
        """Return the clients' payload and what they keep, `[clients, *shape]` by name.

        What is not finite is not kept: such a client keeps what it had, and its next round may go well.

        Raises:
            FedrecError: If the rule answers with other names or shapes than it promised.
        """
        shared = {name: after[name] for name in self.before}
        payload, kept = self.rule.final(self.before, shared, self._state)
        rows = len(next(iter(shared.values()), ()))
        self._require("has the payload", payload, _rows(self._payload, rows))
        self._require("keeps", kept, self._kept)
        if not kept:
            return payload, {}
        whole = torch.stack([value.flatten(1).isfinite().all(dim=1) for value in kept.values()]).all(dim=0)
        return payload, {
            name: value.where(whole.view(-1, *(1,) * (value.dim() - 1)), self._kept[name])
            for name, value in kept.items()
        }

    def _require(self, words: str, found: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
        shapes, wanted = ({name: list(value.shape) for name, value in some.items()} for some in (found, like))
        if shapes != wanted:
            name = min(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
            message = (
                f"the client rule {self.name!r} {words} {name!r} of shape {shapes.get(name, 'none at all')} instead of "
                f"{wanted.get(name, 'none at all')}; see extras_like, payload_like and kept_start of its class"
            )
            raise FedrecError(message)


def _rows(adapter: Adapter, clients: int) -> dict[str, Tensor]:
    """Return one client's arrays as those of many: views of equal rows."""
    return {name: value.expand(clients, *value.shape) for name, value in adapter.items()}
