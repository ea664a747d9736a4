"""The one base strategy: five Flower hooks, of which a new strategy overrides one method.

Simple way: subclass `Strategy` and write `aggregate(updates) -> update`. A round is: seeded cohort, replies
checked, privacy bracket (clip, sum, noise) where the server is trusted, `aggregate`, `step`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy

from fedrec.errors import FederationError
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.registry import Registry
from server.privacy import BRACKETS, Bracket
from server.replies import Rejection, check_replies, in_words
from server.secret_sum import SecretSum, decoded, forbid_updates
from server.setting import RoundReport, Setting
from server.total import Adder, Total
from server.update import Arrays, State, Update, norm_of

BRACKET = "bracket/"
"""Before the names of what the bracket keeps."""

STRATEGIES: Registry[type[FlowerStrategy]] = Registry("strategy", group="fedrec.strategies")


class Strategy(FlowerStrategy):
    """Average of the clients' changes, applied as it is: FedAvg. Subclasses change `aggregate` or `step`.

    Args:
        setting: What the runner tells of the run.
    """

    linear: ClassVar[bool] = True
    """Whether a round's changes need only be added up: workers may then add theirs, and central noise may bracket the
    sum. Found out, not declared: a strategy with an `aggregate` of its own needs the whole cohort."""

    def __init_subclass__(cls) -> None:
        own = (cls.aggregate, cls.aggregate_train, cls.accept)
        cls.linear = own == (Strategy.aggregate, Strategy.aggregate_train, Strategy.accept)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.report = RoundReport()
        self.current: Arrays = {}

    # What a new strategy overrides ------------------------------------------------------------------------------

    def aggregate(self, updates: Sequence[Update]) -> Arrays:
        """Return one change from the clients' changes: their mean, weighted by examples (McMahan et al. 2017).

        Args:
            updates: At least one, in the order of the clients' numbers.
        """
        return Adder(self.setting.max_update_norm).add(updates).mean()

    def step(self, update: Arrays) -> Arrays:
        """Return the change of the global adapter for the aggregated `update`: the update itself."""
        return update

    def client_config(self) -> dict[str, float]:
        """Return what clients are told beside the parameters."""
        return {}

    def state(self) -> State:
        """Return what must survive a restart, by name (server momenta)."""
        return {}

    def restore(self, state: State) -> None:
        """Take back what `state` returned."""

    @cached_property
    def bracket(self) -> Bracket:
        """What clips and noises around the aggregation, as the privacy plan says."""
        return BRACKETS[self.setting.plan.placement](self.setting)

    def kept(self) -> State:
        """Return what a checkpoint keeps: the strategy's own state and that of its privacy bracket."""
        return {**self.state(), **{f"{BRACKET}{name}": value for name, value in self.bracket.state().items()}}

    def take_back(self, kept: State) -> None:
        """Take back what `kept` returned."""
        self.restore({name: value for name, value in kept.items() if not name.startswith(BRACKET)})
        inner = {name.removeprefix(BRACKET): value for name, value in kept.items() if name.startswith(BRACKET)}
        self.bracket.restore(inner)

    # Flower's hooks ---------------------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the messages to this round's cohort."""
        del grid
        self.current = {name: array.numpy() for name, array in arrays.items()}
        cohort = list(self.setting.cohort(server_round))
        told = ConfigRecord({**config, "server-round": server_round, **self.client_config()})
        content = RecordDict({"arrays": arrays, "config": told})
        return [
            Message(content=content, message_type=MessageType.TRAIN, dst_node_id=client, group_id=str(server_round))
            for client in cohort
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies and return the new global adapter.

        Raises:
            FederationError: If fewer than `min_replies` are usable, naming what was wrong with the others, or if the
                result is not finite.
        """
        updates = self.accept(server_round, replies)
        if self.linear:
            return self._conclude(server_round, self.adder.add(updates)), None
        heard = [update for update in updates if update.weight > 0]
        return self._after(server_round, self.aggregate(heard)) if heard else None, None

    @property
    def adder(self) -> Adder:
        """How changes are added up, by whoever does it.

        Raises:
            PrivacyError: Under secure aggregation: there a sum is opened only once it has noise.
        """
        forbid_updates(self.setting.plan)
        return self.bracket.adder

    def aggregate_total(self, server_round: int, total: Total) -> ArrayRecord | None:
        """Return the new global adapter from what workers added up; None if nobody's answer weighs anything.

        Raises:
            FederationError: As `aggregate_train` does.
        """
        self._note(server_round, total.accepted, total.rejections)
        return self._conclude(server_round, total)

    def aggregate_secret(self, server_round: int, opened: SecretSum, agreement: Agreement) -> ArrayRecord | None:
        """Return the new global adapter from a sum that clients made in secret.

        Raises:
            FederationError: As `aggregate_train` does.
        """
        return self.aggregate_total(server_round, decoded(opened, self.current, agreement))

    def _conclude(self, server_round: int, total: Total) -> ArrayRecord | None:
        """Return the new global adapter from the changes' sum."""
        change = self.bracket.change(total, self.current, server_round)
        return None if change is None else self._after(server_round, change)

    def _after(self, server_round: int, aggregated: Arrays) -> ArrayRecord:
        """Return the new global adapter from the aggregated change."""
        self.report = replace(self.report, update_norm=norm_of(aggregated))
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            change = self.step(aggregated)
            after = {name: (value + change[name]).astype(value.dtype) for name, value in self.current.items()}
        if wrong := [name for name, value in after.items() if not np.isfinite(value).all()]:
            message = (
                f"round {server_round}: strategy {type(self).__name__} made {wrong[0]} NaN or infinite; "
                "lower its learning rate in strategy.options"
            )
            raise FederationError(message)
        return to_record(after)

    def asked(self, server_round: int) -> list[int]:
        """Return the clients that were asked in this round."""
        return list(self.setting.cohort(server_round))

    def accept(self, server_round: int, replies: Iterable[Message]) -> list[Update]:
        """Return the usable updates and note the others; fails the round if there are too few.

        Raises:
            FederationError: If so.
            PrivacyError: Under secure aggregation, where no update may come here.
        """
        forbid_updates(self.setting.plan)
        updates, rejections = check_replies(replies, self.current, self.setting.max_update_norm)
        self._note(server_round, [update.client for update in updates], rejections)
        return updates

    def _note(self, server_round: int, accepted: Sequence[int], rejections: Sequence[Rejection]) -> None:
        """Note who answered and who did not; fails the round if too few did."""
        asked = self.asked(server_round)
        answered = {*accepted, *(rejection.client for rejection in rejections)}
        silent = [
            Rejection(c, "no reply", "nothing came within federation.timeout") for c in asked if c not in answered
        ]
        ordered = [*sorted(rejections, key=lambda rejection: rejection.client), *silent]
        self.report = RoundReport(asked, len(accepted), ordered)
        if asked and len(accepted) < self.setting.min_replies:
            message = (
                f"round {server_round}: {len(accepted)} usable replies of {len(asked)}, "
                f"federation.min_replies={self.setting.min_replies}; {in_words(ordered)}"
            )
            raise FederationError(message)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the recommender is judged on held-out users, by the server."""
        del server_round, arrays, config, grid
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing: clients do not evaluate."""
        del server_round, replies
        return None

    def summary(self) -> None:
        """Log nothing: the run's own summary tells."""


def to_record(parameters: Arrays) -> ArrayRecord:
    """Return an adapter as Flower sends it."""
    return ArrayRecord({name: Array(np.ascontiguousarray(value)) for name, value in parameters.items()})
