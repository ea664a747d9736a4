"""What an engine is: something that gives the server's work a grid of clients."""

from collections.abc import Callable

from flwr.serverapp import Grid

from fedrec.core.errors import PrivacyError
from fedrec.core.registry import Registry
from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import trust_of
from simulations.options import RunOptions

ServerWork = Callable[[Grid], None]

Engine = Callable[[ServerWork, int, RunOptions], None]
"""Calls the work once, with a grid of so many clients whose node ids are the clients' numbers."""

ENGINES: Registry[Engine] = Registry("engine", group="fedrec.engines")

_SECRET: set[Engine] = set()


def sums_in_secret(engine: Engine) -> Engine:
    """Mark an engine whose grid is a `server.aggregation.secret_sum.SecretSumGrid`."""
    _SECRET.add(engine)
    return engine


def check_engine(experiment: Experiment, name: str) -> None:
    """Find out before any work whether the engine exists and keeps from the server what it must not see.

    Raises:
        ConfigError: If there is no such engine.
        PrivacyError: If the server would see what the experiment hides from it.
    """
    if ENGINES.get(name) not in _SECRET and trust_of(experiment.privacy) == "secure-aggregation":
        able = " or ".join(known for known in ENGINES.names() if ENGINES.get(known) in _SECRET)
        message = (
            f"the engine {name} hands the server every client's update, which privacy.trust=secure-aggregation hides "
            f"from it; choose --engine {able}, or privacy.trust=local"
        )
        raise PrivacyError(message)
