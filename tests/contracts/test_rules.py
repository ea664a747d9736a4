"""Every registered client rule keeps the contract, and every rule that a registered strategy names."""

from typing import Any

import pytest

from fedrec.training.rules import RULES
from server.strategies import STRATEGIES
from simulations.testing.rules import RuleContract

OPTIONS: dict[str, Any] = {"proximal": {"mu": 0.5}}
NAMES = sorted({*RULES.names(), *(STRATEGIES.get(name).rule for name in STRATEGIES.names())})


@pytest.mark.parametrize("plugin", [name for name in NAMES if name not in OPTIONS])
class TestEveryRule(RuleContract):
    """The contract that a user's own rule inherits, too."""


class TestProximal(RuleContract):
    plugin = "proximal"
    options = OPTIONS["proximal"]
    plain = {"mu": 0.0}  # noqa: RUF012 - as a user would write it
