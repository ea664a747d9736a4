"""Which node of Flower's simulation is which client, taken from Flower itself.

`server.grids.ClientGrid` asks every node who it is, which is right wherever nodes are real. In a simulation of 10,000
nodes these questions alone would take Flower longer than the rounds that are to be timed, and they are not timed: so
the benchmark looks the answers up in Flower's own list. Rounds go through `ClientGrid` as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from flwr.server.superlink.fleet.vce import vce_api

from server.grids import ClientGrid


@contextmanager
def known_nodes() -> Iterator[None]:
    """Let nothing be asked, while this is open, that Flower's simulation knows."""
    client_of: dict[int, int] = {}
    register = vce_api._register_nodes  # noqa: SLF001 - see above

    def remembered(*told: Any, **named: Any) -> dict[int, int]:
        client_of.update(register(*told, **named))
        return client_of

    def look_up(grid: ClientGrid, nodes: list[int], clients: int) -> dict[int, int]:
        del grid, clients
        return {client_of[node]: node for node in nodes}

    with patch.object(vce_api, "_register_nodes", remembered), patch.object(ClientGrid, "_who_is_who", look_up):
        yield
