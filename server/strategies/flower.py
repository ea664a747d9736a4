"""Any Flower strategy, adapted: its own sampling and arithmetic, behind our checks.

Flower's strategies draw from global generators: Python's, numpy's or torch's. All three are seeded by name around each
hook and around the constructor, and put back; the grid shows nodes in the order of the clients' numbers. So such a
strategy is reproducible too, also over a restart.
"""

import pickle
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import flwr.serverapp.strategy
import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy

from fedrec.core.errors import ConfigError, FederationError, FedrecError
from fedrec.core.seeding import Label, seed_for
from fedrec.training.rules.wire import OPTION, RULE, to_config
from server.aggregation.update import State, Update, norm_of
from server.base import Strategy, to_record
from server.context import StrategyContext

CURRENT = "flwr.serverapp.strategy"
"""Where Flower's strategies with today's hooks are."""

NEEDS = ("min_available_nodes", "min_train_nodes")
"""Attributes of Flower's own strategies that make them wait, for ever, for more clients than there are."""

FLOWERS_MU = "proximal-mu"
"""What Flower's FedProx tells its clients."""

UNDERSTOOD = frozenset({"run", "server-round", RULE})
"""Keys of a message's config that clients read, besides the rule's options."""


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
        """Return the inner strategy's messages; the mu of Flower's FedProx becomes an option of our client rule.

        Raises:
            ConfigError: If it waits for more clients than there are, or tells clients what they do not listen to.
            FedrecError: If it raises.
        """
        clients = len(list(grid.get_node_ids()))
        for need in NEEDS:
            if (wanted := getattr(self.inner, need, 0)) > clients:
                message = f"the strategy waits for {wanted} clients, there are {clients}; set strategy.options.{need}"
                raise ConfigError(message)
        with self._hook("configure_train", server_round):
            messages = list(self.inner.configure_train(server_round, arrays, config, grid))
        for content in {id(message.content): message.content for message in messages}.values():
            told = content.config_records.get("config", ConfigRecord())
            if FLOWERS_MU in told:
                told.update(to_config("proximal", {"mu": float(str(told.pop(FLOWERS_MU)))}))
            if unknown := sorted(key for key in told if key not in UNDERSTOOD and not key.startswith(OPTION)):
                message = (
                    f"strategy {type(self.inner).__name__} tells clients {', '.join(unknown)}, to which no client of "
                    f"ours listens; leave it out, or name a client rule that takes it under {RULE!r} and "
                    f'"{OPTION}<option>"'
                )
                raise ConfigError(message)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the inner strategy's aggregate of the replies that pass our checks.

        Raises:
            FederationError: If too few replies are usable.
            FedrecError: If the inner strategy raises, or returns nothing, another adapter's parameters or NaN.
        """
        replies = list(replies)
        updates = self.accept(server_round, replies)
        usable = _even(replies, updates)
        if self.context.transforms:
            self._decode_(usable, updates)
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

    def _decode_(self, replies: Sequence[Message], updates: Sequence[Update]) -> None:
        """Put the adapter that a client's change leads to in the place of its encoded change."""
        changes = {update.client: update.delta for update in updates}
        for reply in replies:
            change = changes[reply.metadata.src_node_id]
            reply.content["arrays"] = to_record({name: self.current[name] + change[name] for name in self.current})

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
        try:
            with seeded_global_generators(self.context.seed, name, server_round):
                yield
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            message = (
                f"round {server_round}: {type(self.inner).__name__}.{name} raised {type(error).__name__}: {error} "
                f"({at.filename}:{at.lineno})"
            )
            raise FedrecError(message) from error


@contextmanager
def seeded_global_generators(seed: int, *name: Label) -> Iterator[None]:
    """Seed by name the generators that a Flower strategy may draw from, and put them back as they were afterwards.

    These are Python's, numpy's and torch's global generators; torch's on a GPU only where a GPU is in use already.

    Args:
        seed: The run's seed.
        name: Whose draws these are: the hook and its round, or the constructor.
    """
    drawn = seed_for(seed, "foreign", *name)
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what others draw from
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if used else ()
    with torch.random.fork_rng(devices):
        random.seed(drawn)
        np.random.seed(drawn % 2**32)  # noqa: NPY002
        torch.manual_seed(drawn)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


def refuse_former_interface(kind: type) -> None:
    """Refuse a strategy of `flwr.server.strategy`, whose hooks no run calls, and name the way out.

    Flower runs these in a loop of its own (`flwr.server.compat`), which has no ledger and no checkpoint.

    Raises:
        ConfigError: If it is one, with the class of today's interface to name, or to derive from.
    """
    former = [base.__name__ for base in kind.__mro__ if base.__module__.startswith("flwr.server.strategy")]
    if not former:
        return
    today = next(name for name in former if name in flwr.serverapp.strategy.__all__)
    if kind.__name__ == today:
        way_out = f"name {CURRENT}:{today}, the same strategy with today's hooks"
    elif kind.__name__ in former:
        way_out = f"Flower has no {kind.__name__} with today's hooks; name another of {CURRENT}"
    else:
        way_out = f"derive it from {CURRENT}.{today} and write configure_train and aggregate_train instead"
    message = (
        f"strategy {kind.__name__} has the hooks of Flower's former interface, flwr.server.strategy (configure_fit, "
        f"aggregate_fit), which a run does not call; {way_out}"
    )
    raise ConfigError(message)


def _even(replies: Sequence[Message], updates: Sequence[Update]) -> list[Message]:
    """Return the usable replies that weigh something, in the clients' order, all with the same metrics.

    Flower's strategies refuse replies whose metrics differ, and a client whose batch was empty has no training loss.
    """
    weighted = {update.client for update in updates if update.weight > 0}
    chosen = [reply for reply in replies if reply.metadata.src_node_id in weighted]
    chosen.sort(key=lambda reply: reply.metadata.src_node_id)
    records = [reply.content.metric_records["metrics"] for reply in chosen]
    common = set.intersection(*(set(record) for record in records)) if records else set()
    for record in records:
        for extra in set(record) - common:
            del record[extra]
    return chosen
