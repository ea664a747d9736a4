"""Every registered engine keeps the contract; one that trains clients one at a time is listed here."""

import pytest

from simulations.engine import ENGINES
from simulations.testing.engines import EngineContract

ONE_AT_A_TIME = ("flower",)


@pytest.mark.parametrize("plugin", sorted({*ENGINES.names()} - {*ONE_AT_A_TIME}))
class TestEveryEngineOfChunks(EngineContract):
    """The contract that a user's own engine inherits, too."""


@pytest.mark.slow
@pytest.mark.parametrize("plugin", ONE_AT_A_TIME)
class TestEveryOtherEngine(EngineContract):
    exact = False
