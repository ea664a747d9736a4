"""Every registered transform keeps the contract, and so does an attack."""

import pytest

from fedrec.transforms import TRANSFORMS
from fedrec.transforms.attack import Attack
from fedrec.transforms.base import Arrays, Sender
from simulations.testing.transforms import TransformContract


@pytest.mark.parametrize("plugin", TRANSFORMS.names())
class TestEveryTransform(TransformContract):
    """The contract that a user's own transform inherits, too."""


class Reversed(Attack):
    """Sends the opposite of what was learnt."""

    def poison(self, change: Arrays, sender: Sender) -> Arrays:
        return {name: -value for name, value in change.items()}


class TestAttack(TransformContract):
    plugin = f"{__name__}:Reversed"
    options = {"share": 0.5, "start_round": 2}  # noqa: RUF012 - as a user would write it
