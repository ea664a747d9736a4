"""Every registered task keeps the contract from the day it is registered."""

import pytest

from fedrec.tasks import TASKS
from simulations.testing.tasks import TaskContract


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("plugin", TASKS.names())
class TestEveryTask(TaskContract):
    """The contract that a user's own task inherits, too."""
