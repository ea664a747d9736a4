"""The base of every client rule: what a federated algorithm adds to plain local training, as three pure functions.

Local training takes steps `w <- w - lr * g` (or Adam's). A rule is asked at three points, as in fedjax's
`for_each_client`: `init` before the first step, `direction` in each step, `final` after the last one. It works on
stacked tensors, `[clients, *shape]` by parameter name, so that one implementation serves one client and a thousand; no
row may depend on another one. Both halves of an algorithm, a rule and a strategy, may stand in one file.

**Privacy.** A rule is given parameters, what the server sent, what it kept itself, and gradients; never an example or a
number of examples. With `privacy.trust = "local"` it is asked behind the clip and the noise, which private parameters
go through as those that travel do. So all that it is given was made from noised sums, by induction over steps and
rounds: what it answers and keeps is post-processing of what has been paid for, and costs nothing. Where the client's
whole change is clipped and noised later (`central`, `secure-aggregation`), `direction` and kept state are behind that
clip as well, but a payload would leave the client without noise: such a rule is refused there
(`fedrec.privacy.plugin_checks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from fedrec.core.registry import Registry
from fedrec.experiment.config import Experiment

Adapter = Mapping[str, Tensor]
"""One client's arrays by name, `[*shape]`."""

Stack = Mapping[str, Tensor]
"""Many clients' arrays by name, a row a client: `[clients, *shape]`."""


@dataclass(frozen=True)
class LocalWork:
    """What every client does in a round, whatever its data.

    Attributes:
        steps: Local steps.
        lr: Local learning rate.
        optimizer: `sgd` or `adam`.
        round: Number of the round, from 1; 0 outside of any.
        seed: The experiment's seed, which is public: of draws that all clients share.
    """

    steps: int
    lr: float
    optimizer: str
    round: int = 0
    seed: int = 0

    @classmethod
    def of(cls, experiment: Experiment, round: int = 0) -> Self:
        """Return what the experiment says of a round."""
        training = experiment.training
        return cls(training.steps, training.lr, training.optimizer, round, experiment.seed)


class Rule:
    """Plain local training; a subclass overrides what its algorithm adds.

    Options of a rule are arguments of its constructor, numbers that the strategy's `client_config` gives.

    Args:
        work: What every client does in a round.
    """

    def __init__(self, work: LocalWork) -> None:
        self.work = work

    def extras_like(self, before: Adapter) -> dict[str, Tensor]:
        """Return what the server sends beside the adapter: arrays of its names and shapes; by default nothing.

        Args:
            before: The adapter's parameters that travel.
        """
        del before
        return {}

    def payload_like(self, before: Adapter) -> dict[str, Tensor]:
        """Return what a client sends beside its change: arrays of its names and shapes; by default nothing."""
        del before
        return {}

    def kept_start(self, before: Adapter) -> dict[str, Tensor]:
        """Return what a client keeps before its first round, by name; by default nothing is ever kept."""
        del before
        return {}

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Any:
        """Return the rule's state for a round: anything; it is handed to the other two.

        Args:
            before: The parameters that travel, as the server sent them: equal rows.
            extras: What the server sent beside them.
            kept: What the clients kept after their last round.
        """
        del before, extras, kept

    def direction(self, gradient: Stack, parameters: Stack, state: Any) -> Stack:
        """Return what the optimiser is given in place of the gradient of the parameters that travel.

        Args:
            gradient: Of the parameters that travel: the mean loss's, clipped and noised under trust `local`.
            parameters: Where all that is trained stands in this step, private parameters included.
            state: What `init` returned.
        """
        del parameters, state
        return gradient

    def private_direction(self, gradient: Stack, parameters: Stack, state: Any) -> Stack:
        """Return the same for the parameters that stay with their client; by default their gradient.

        Args:
            gradient: Of the parameters that stay; may be empty.
            parameters: As in `direction`.
            state: What `init` returned.
        """
        del parameters, state
        return gradient

    def final(self, before: Stack, after: Stack, state: Any) -> tuple[Stack, Stack]:
        """Return the payload and what the clients keep, of the names and shapes of `payload_like` and `kept_start`.

        Args:
            before: As in `init`.
            after: The parameters after the last step.
            state: What `init` returned.
        """
        del before, after, state
        return {}, {}

    def personal(self, adapter: Stack, kept: Stack) -> Stack:
        """Return the parameters that travel as the clients use them for their own users: by default as they were sent.

        Args:
            adapter: The finished adapter: equal rows.
            kept: What the clients kept after their last round.
        """
        del kept
        return adapter


RULES: Registry[type[Rule]] = Registry("client rule", group="fedrec.rules")
