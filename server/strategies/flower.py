"""Any Flower strategy, adapted: its own sampling and arithmetic, behind our checks.

Flower's strategies draw from Python's and numpy's global generators. Both are seeded by name around each hook and
put back, and the grid shows nodes in the order of the clients' numbers, so it is reproducible too.
"""

import pickle
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy

from fedrec.core.errors import ConfigError, FederationError, FedrecError
from fedrec.core.seeding import seed_for
from server.aggregation.update import State, Update, norm_of
from server.base import Strategy, to_record
from server.context import StrategyContext

NEEDS = ("min_available_nodes", "min_train_nodes")
"""Attributes of Flower's own strategies that make them wait, for ever, for more clients than there are."""


class FlowerStrategyAdapter(Strategy):
    """Delegates two hooks to the strategy inside; replies it would choke on never reach it.

    Args:
        context: What the runner tells of the run.
        inner: Any Flower strategy.
    """

    def __init__(self, context: StrategyContext, inner: FlowerStrategy) -> None:
        super().__init__(context)
        self.inner = inner

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the inner strategy's messages.

        Raises:
            ConfigError: If it waits for more clients than there are.
            FedrecError: If it raises.
        """
        clients = len(list(grid.get_node_ids()))
        for need in NEEDS:
            if (wanted := getattr(self.inner, need, 0)) > clients:
                message = f"the strategy waits for {wanted} clients, there are {clients}; set strategy.options.{need}"
                raise ConfigError(message)
        with self._hook("configure_train", server_round):
            return list(self.inner.configure_train(server_round, arrays, config, grid))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the inner strategy's aggregate of the replies that pass our checks.

        Raises:
            FederationError: If too few replies are usable.
            FedrecError: If the inner strategy raises, or returns nothing, another adapter's parameters or NaN.
        """
        replies = list(replies)
        usable = _even(replies, self.accept(server_round, replies))
        if not usable:
            return None, None
        with self._hook("aggregate_train", server_round):
            arrays, metrics = self.inner.aggregate_train(server_round, usable)
        after = {name: array.numpy() for name, array in (arrays or {}).items()}
        name = type(self.inner).__name__
        if {n: a.shape for n, a in after.items()} != {n: a.shape for n, a in self.current.items()}:
            message = f"round {server_round}: strategy {name} made no adapter of the shape that was sent"
            raise FederationError(message)
        result = {n: after[n].astype(array.dtype) for n, array in self.current.items()}
        if not all(np.isfinite(value).all() for value in result.values()):
            message = f"round {server_round}: strategy {name} returned NaN or infinity"
            raise FederationError(message)
        change = {n: result[n] - array for n, array in self.current.items()}
        self.report = replace(self.report, update_norm=norm_of(change))
        return to_record(result), metrics

    def state(self) -> State:
        """Return the inner strategy, pickled: its momenta have no common interface.

        Raises:
            ConfigError: If it cannot be pickled.
        """
        try:
            data = pickle.dumps(self.inner)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            message = (
                f"strategy {type(self.inner).__name__} cannot be saved ({error}); a run must survive a restart, "
                "so its strategy must survive pickle"
            )
            raise ConfigError(message) from error
        return {"pickle": np.frombuffer(data, dtype=np.uint8)}

    def restore(self, state: State) -> None:
        """Take the pickled strategy back: resume only runs whose files you trust as you trust their code."""
        if "pickle" in state:
            self.inner = pickle.loads(state["pickle"].tobytes())  # noqa: S301

    @contextmanager
    def _hook(self, name: str, server_round: int) -> Iterator[None]:
        """Run the inner strategy's code with generators seeded by name, and name it in whatever goes wrong."""
        seed = seed_for(self.context.seed, "foreign", name, server_round)
        python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what others draw from
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            message = (
                f"round {server_round}: {type(self.inner).__name__}.{name} raised {type(error).__name__}: {error} "
                f"({at.filename}:{at.lineno})"
            )
            raise FedrecError(message) from error
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


def _even(replies: Sequence[Message], updates: Sequence[Update]) -> list[Message]:
    """Return the usable replies that weigh something, in the clients' order, all with the same metrics.

    Flower's strategies refuse replies whose metrics differ, and a client whose batch was empty has no training loss.
    """
    heard = {update.client for update in updates if update.weight > 0}
    chosen = [reply for reply in replies if reply.metadata.src_node_id in heard]
    chosen.sort(key=lambda reply: reply.metadata.src_node_id)
    records = [reply.content.metric_records["metrics"] for reply in chosen]
    common = set.intersection(*(set(record) for record in records)) if records else set()
    for record in records:
        for extra in set(record) - common:
            del record[extra]
    return chosen
