"""A stranger's Flower strategy, adopted: its own sampling and arithmetic, behind our checks.

Flower's strategies sample nodes from Python's global generator. It is seeded by name before each round, and the
grid shows nodes in the order of the clients' numbers, so a stranger's cohort is reproducible too.
"""

import pickle
import random
from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy

from fedrec.errors import ConfigError, FedrecError
from fedrec.seeding import seed_for
from server.base import Setting, Strategy
from server.update import Arrays, norm_of


class Foreign(Strategy):
    """Delegates two hooks to the stranger; replies it would choke on never reach it.

    Args:
        setting: What the runner tells of the run.
        stranger: Any Flower strategy.
    """

    linear: ClassVar[bool] = False

    def __init__(self, setting: Setting, stranger: FlowerStrategy) -> None:
        super().__init__(setting)
        self.stranger = stranger
        self._asked: list[int] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the stranger's messages."""
        self.current = {name: array.numpy() for name, array in arrays.items()}
        before = random.getstate()
        random.seed(seed_for(self.setting.seed, "foreign", server_round))
        try:
            messages = list(self.stranger.configure_train(server_round, arrays, config, grid))
        finally:
            random.setstate(before)
        self._asked = sorted(message.metadata.dst_node_id for message in messages)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the stranger's aggregate of the replies that pass our checks.

        Raises:
            FederationError: If too few replies are usable.
            FedrecError: If the stranger's aggregate is not finite.
        """
        replies = sorted(replies, key=lambda message: message.metadata.src_node_id)
        usable = {update.client for update in self.accept(server_round, replies)}
        arrays, metrics = self.stranger.aggregate_train(
            server_round, [reply for reply in replies if reply.metadata.src_node_id in usable]
        )
        if arrays is None:
            return None, metrics
        after = {name: array.numpy().astype(self.current[name].dtype) for name, array in arrays.items()}
        if not all(np.isfinite(value).all() for value in after.values()):
            message = f"strategy {type(self.stranger).__name__} returned NaN or infinity in round {server_round}"
            raise FedrecError(message)
        self.report.update_norm = norm_of({name: after[name] - self.current[name] for name in after})
        return ArrayRecord({name: Array(after[name]) for name in self.current}), metrics

    def asked(self, server_round: int) -> list[int]:
        """Return the clients that the stranger chose."""
        del server_round
        return self._asked

    def state(self) -> Arrays:
        """Return the stranger, pickled: its momenta have no common interface."""
        try:
            data = pickle.dumps(self.stranger)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            message = f"strategy {type(self.stranger).__name__} cannot be saved ({error}); it must survive pickle to be resumed"
            raise ConfigError(message) from error
        return {"pickle": np.frombuffer(data, dtype=np.uint8)}  # type: ignore[dict-item]

    def restore(self, state: Arrays) -> None:
        """Take the pickled stranger back; the file is the user's own run."""
        self.stranger = pickle.loads(state["pickle"].tobytes())  # noqa: S301


def adopt(strategy: Callable[..., FlowerStrategy], setting: Setting, options: dict[str, object]) -> Strategy:
    """Return the strategy built and, if it is not ours, adopted.

    Raises:
        ConfigError: If it does not take the options.
    """
    ours = isinstance(strategy, type) and issubclass(strategy, Strategy)
    try:
        built = strategy(setting, **options) if ours else strategy(**options)
    except TypeError as error:
        message = f"strategy.options do not fit {getattr(strategy, '__name__', strategy)}: {error}"
        raise ConfigError(message) from error
    if isinstance(built, Strategy):
        return built
    if not isinstance(built, FlowerStrategy):
        message = f"{strategy!r} is no flwr.serverapp.strategy.Strategy"
        raise ConfigError(message)
    return Foreign(setting, built)
