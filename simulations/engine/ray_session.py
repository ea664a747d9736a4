"""Ray, started for a run and stopped after it; or a cluster that is running already, joined and left as it was."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedrec.core.errors import FederationError

OBJECT_STORE_BYTES = 256 * 2**20
"""Room for messages in flight; Ray would take a third of the memory."""


@contextmanager
def ray_session(workers: int, address: str | None = None) -> Iterator[None]:
    """Start Ray without a runtime environment, which costs seconds, and without its chatter; or join a cluster.

    Args:
        workers: Processors that a Ray of our own may use.
        address: Of a running cluster; None starts one on this machine.

    Raises:
        FederationError: If the cluster cannot be joined.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        own: dict[str, Any] = {
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
        ray.init(**own, **quiet)
    else:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            message = f"no Ray cluster answers at {address!r} ({error}); start one with `ray start --head`"
            raise FederationError(message) from error
    try:
        yield
    finally:
        ray.shutdown()
