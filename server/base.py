"""The base of every strategy, two kinds of it, and what a new one writes.

`MeanStrategy` averages: workers add the clients' changes up where they are made, and central noise is added to the sum.
A subclass writes `step`. `CohortStrategy` needs every change of a cohort at once, as a median does. A subclass writes
`aggregate(updates) -> update`. The seeded cohort, the checks of replies and the checkpoint are the same for both.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from inspect import getattr_static
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy

from fedrec.core.errors import FederationError, PrivacyError
from fedrec.core.registry import Registry
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.training.rules.wire import PLAIN, to_config
from server.aggregation.privacy import MECHANISMS, Mechanism
from server.aggregation.replies import Rejection, Wanted, check_replies, in_words
from server.aggregation.secret_sum import SecretSum, decoded, forbid_updates
from server.aggregation.update import Arrays, State, Update, no_change, norm_of
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.context import RoundReport, StrategyContext
from server.message_size import Sent, answered

MECHANISM = "mechanism/"
"""Before the names of what the mechanism keeps."""

OPEN = frozenset({"step", "client_config", "extras", "receive", "rule", "state", "restore"})
"""What a subclass of `MeanStrategy` may override, besides its constructor."""

STRATEGIES: Registry[type[FlowerStrategy]] = Registry("strategy", group="fedrec.strategies")


class Strategy(FlowerStrategy):
    """What both kinds share; derive from `MeanStrategy` or `CohortStrategy`.

    Args:
        context: What the runner tells of the run.
    """

    rule = PLAIN
    """What clients do beside plain training: a name in `fedrec.training.rules`, or `f"{__name__}:Class"` for a `Rule`
    that stands in the strategy's own file."""

    def __init__(self, context: StrategyContext) -> None:
        self.context = context
        self.report = RoundReport()
        self.current: Arrays = {}
        """The adapter that was sent in the round in hand."""
        self.payload: Arrays = {}
        """What the clients' rule sends beside the adapter: arrays of its names and shapes; the builder sets it."""
        self.asked: list[int] = []
        """Who the round's messages are addressed to, ascending: as `server.asking` found them, for they pay."""

    # What every strategy may override ---------------------------------------------------------------------------

    def step(self, update: Arrays) -> Arrays:
        """Return the change of the global adapter for the aggregated `update`: the update itself."""
        return update

    def client_config(self) -> dict[str, float]:
        """Return the options of the clients' rule."""
        return {}

    def extras(self) -> Arrays:
        """Return what clients are sent beside the adapter (`self.current`), by name: what their rule asks for."""
        return {}

    def own_extras(self, client: int) -> Arrays:
        """Return what one client alone is sent beside `extras`, by name; by default nothing.

        A client that is told something of its own is trained apart from all others, which is slower. A `MeanStrategy`
        tells all the same.
        """
        del client
        return {}

    def state(self) -> State:
        """Return what must survive a restart, by name (server momenta)."""
        return {}

    def restore(self, state: State) -> None:
        """Take back what `state` returned."""

    # The checkpoint ---------------------------------------------------------------------------------------------

    def kept(self) -> State:
        """Return what a checkpoint keeps."""
        return self.state()

    def take_back(self, kept: State) -> None:
        """Take back what `kept` returned."""
        self.restore(kept)

    # Flower's hooks ---------------------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the messages to this round's cohort."""
        del grid
        told = ConfigRecord({**to_config(self.rule, self.client_config()), **config, "server-round": server_round})
        extras = self.extras()

        def content_for(own: Arrays) -> RecordDict:
            records = {"extras": to_record({**extras, **own})} if extras or own else {}
            return RecordDict({"arrays": arrays, "config": told, **records})

        same = content_for({})
        return [
            Message(
                content=content_for(own) if (own := self.own_extras(client)) else same,
                message_type=MessageType.TRAIN,
                dst_node_id=client,
                group_id=str(server_round),
            )
            for client in self.context.cohort(server_round)
        ]

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

    # A round's end ----------------------------------------------------------------------------------------------

    def accept(self, server_round: int, replies: Iterable[Message]) -> list[Update]:
        """Return the usable updates and note the others; fails the round if there are too few.

        Raises:
            FederationError: If so.
            PrivacyError: Under secure aggregation, where no update may come here.
        """
        forbid_updates(self.context.plan)
        longest = math.inf if self.context.sums_are_noised else self.context.max_update_norm
        replies = list(replies)
        wanted = Wanted(self.current, longest, self.payload, self.context.transforms)
        updates, rejections = check_replies(replies, wanted)
        self._note(server_round, [update.client for update in updates], rejections, answered(replies))
        return updates

    def _note(self, server_round: int, accepted: Sequence[int], rejections: Sequence[Rejection], sent: Sent) -> None:
        """Note who answered and who did not; fails the round if too few did.

        Whether a client's answer can be used depends on its data. Where a noised sum is all that may be known of these,
        the round therefore goes on without it: only silence, which says nothing about data, may end it.
        """
        answered = {*accepted, *(rejection.client for rejection in rejections)}
        silent = [
            Rejection(c, "no reply", "nothing came within federation.timeout") for c in self.asked if c not in answered
        ]
        ordered = [*sorted(rejections, key=lambda rejection: rejection.client), *silent]
        self.report = RoundReport(self.asked, len(accepted), ordered, sent=sent)
        found, least = len(accepted), self.context.min_replies
        if self.context.sums_are_noised:
            found, least = len(answered), min(least, 1)
        if self.asked and found < least:
            message = (
                f"round {server_round}: {len(accepted)} usable replies of {len(self.asked)}, "
                f"federation.min_replies={self.context.min_replies}; {in_words(ordered)}"
            )
            raise FederationError(message)

    def _after(self, server_round: int, aggregated: Arrays) -> ArrayRecord:
        """Return the new global adapter from the aggregated change.

        Raises:
            FederationError: If what the strategy made is no change of the adapter, or not finite.
        """
        self._require_change(server_round, "aggregate", aggregated)
        self.report = replace(self.report, update_norm=norm_of(aggregated))
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            change = self.step(aggregated)
            self._require_change(server_round, "step", change)
            after = {name: (value + change[name]).astype(value.dtype) for name, value in self.current.items()}
        if wrong := [name for name, value in after.items() if not np.isfinite(value).all()]:
            message = (
                f"round {server_round}: strategy {type(self).__name__} made {wrong[0]} NaN or infinite; "
                "lower its learning rate in strategy.options"
            )
            raise FederationError(message)
        return to_record(after)

    def _require_change(self, server_round: int, method: str, found: object) -> None:
        """Refuse what is no change of the adapter; another shape would be broadcast over its parameters.

        Raises:
            FederationError: Naming the method and what it returned.
        """
        if wrong := no_change(found, self.current):
            message = (
                f"round {server_round}: {type(self).__name__}.{method} returned {wrong}; it must return an array of "
                "each parameter's shape, by name"
            )
            raise FederationError(message)


class CohortStrategy(Strategy):
    """Needs all changes of a cohort at once, which lie in the server's memory; a subclass writes `aggregate`.

    Where a noised sum is all that may be seen of the changes (trust `central` and `secure-aggregation`) it is refused.
    """

    @abstractmethod
    def aggregate(self, updates: Sequence[Update]) -> Arrays:
        """Return one change from the clients' changes.

        Args:
            updates: At least one, each of a weight above 0, in the order of the clients' numbers.
        """

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies and return the new global adapter; None if nobody's answer weighs anything.

        Raises:
            FederationError: If fewer than `min_replies` are usable, naming what was wrong with the others, or if the
                result is not finite.
        """
        weighted = [update for update in self.accept(server_round, replies) if update.weight > 0]
        return self._after(server_round, self.aggregate(weighted)) if weighted else None, None


class MeanStrategy(Strategy):
    """Mean of the clients' changes, weighted by examples (McMahan et al. 2017); where a sum is noised, a uniform one.

    A subclass may override `step`, `rule`, `client_config`, `extras`, `receive`, `state` and `restore`, besides its
    constructor. All else decides who is asked, what is summed and where it is clipped and noised: the privacy plan has
    priced that as it is here. What these return may depend on the noised mean and on what they kept; `asked` and
    `report` have no noise.

    Raises:
        PrivacyError: When a subclass is made that overrides something else.
    """

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        closed = {name for kind in (MeanStrategy, CohortStrategy) for name in dir(kind) if name[:2] != "__"}
        closed = closed - OPEN - {"_abc_impl"} | {"__init_subclass__", "__getattribute__"}
        changed = [
            n for n in sorted(closed) if getattr_static(cls, n, None) is not getattr_static(MeanStrategy, n, None)
        ]
        if changed:
            message = (
                f"strategy {cls.__name__} overrides {', '.join(changed)}, but a MeanStrategy may override "
                f"{', '.join(sorted(OPEN))} only: its privacy is priced for what the base asks, sums and noises; "
                "derive it from CohortStrategy, which goes with privacy.trust=local or without privacy"
            )
            raise PrivacyError(message)

    def receive(self, payload: Arrays, replies: int) -> None:
        """Take in the mean payload of the clients' rule; it is called before `step`, and only if the rule has one.

        Args:
            payload: Mean over the accepted replies, each of weight 1, by name.
            replies: How many these are, at least one.
        """

    @cached_property
    def mechanism(self) -> Mechanism:
        """What clips and noises around the sum, as the privacy plan says."""
        return MECHANISMS[self.context.plan.trust](self.context)

    @property
    def aggregator(self) -> SumAggregator:
        """How changes are added up, by whoever does it.

        Raises:
            PrivacyError: Under secure aggregation: there a sum is opened only once it has noise.
        """
        forbid_updates(self.context.plan)
        return self.mechanism.aggregator

    def kept(self) -> State:
        """Return what a checkpoint keeps: the strategy's own state and that of its privacy mechanism."""
        return {**self.state(), **{f"{MECHANISM}{name}": value for name, value in self.mechanism.state().items()}}

    def take_back(self, kept: State) -> None:
        """Take back what `kept` returned."""
        self.restore({name: value for name, value in kept.items() if not name.startswith(MECHANISM)})
        inner = {name.removeprefix(MECHANISM): value for name, value in kept.items() if name.startswith(MECHANISM)}
        self.mechanism.restore(inner)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check the replies and return the new global adapter; None if nobody's answer weighs anything.

        Raises:
            FederationError: If too few are usable, naming what was wrong with the others, or if the result is not
                finite.
        """
        return self._conclude(server_round, self.aggregator.add(self.accept(server_round, replies))), None

    def aggregate_total(self, server_round: int, total: UpdateSum) -> ArrayRecord | None:
        """Return the new global adapter from what workers added up; None if nobody's answer weighs anything.

        Raises:
            FederationError: As `aggregate_train` does.
        """
        self._note(server_round, total.accepted, total.rejections, total.sent)
        return self._conclude(server_round, total)

    def aggregate_secret(self, server_round: int, opened: SecretSum, agreement: Agreement) -> ArrayRecord | None:
        """Return the new global adapter from a sum that clients made in secret.

        Raises:
            FederationError: As `aggregate_train` does.
        """
        numbers, answers = sum(value.size for value in self.current.values()), len(opened.survivors)
        sent = Sent(answers, answers * agreement.vector_bytes(server_round, numbers))
        total = decoded(opened, self.current, agreement, server_round)
        return self.aggregate_total(server_round, replace(total, sent=sent))

    def _conclude(self, server_round: int, total: UpdateSum) -> ArrayRecord | None:
        """Return the new global adapter from the changes' sum."""
        change = self.mechanism.change(total, self.current, server_round)
        self.report = replace(self.report, filter=self.mechanism.filter)
        if change is not None and total.extras:
            self.receive(total.mean_extras(), len(total.accepted))
        return None if change is None else self._after(server_round, change)


def averages(kind: object) -> bool:
    """Return whether a strategy's class is an average of ours, whose sum may be clipped and noised."""
    return isinstance(kind, type) and issubclass(kind, MeanStrategy)


def to_record(parameters: Arrays) -> ArrayRecord:
    """Return an adapter as Flower sends it."""
    return ArrayRecord({name: Array(np.asarray(value)) for name, value in parameters.items()})
