"""What an engine is: something that gives the server's work a grid of clients."""

from collections.abc import Callable

from flwr.serverapp import Grid

from fedrec.registry import Registry
from simulations.options import RunOptions

ServerWork = Callable[[Grid], None]

Engine = Callable[[ServerWork, int, RunOptions], None]
"""Calls the work once, with a grid of so many clients whose node ids are the clients' numbers."""

ENGINES: Registry[Engine] = Registry("engine", group="fedrec.engines")
