"""Every registered client rule keeps the contract, and every rule that a registered strategy names."""

from dataclasses import replace
from typing import Any

import pytest

from fedrec.training.rules import RULES
from server.strategies import STRATEGIES
from simulations.testing.rules import RuleContract

OPTIONS: dict[str, Any] = {"proximal": {"mu": 0.5}}
ADDITIVE = "server.strategies.fedrap:AdditivePersonalization"
NAMES = sorted({*RULES.names(), *(STRATEGIES.get(name).rule for name in STRATEGIES.names())})


@pytest.mark.parametrize("plugin", [name for name in NAMES if name not in {*OPTIONS, ADDITIVE}])
class TestEveryRule(RuleContract):
    """The contract that a user's own rule inherits, too."""


class TestProximal(RuleContract):
    plugin = "proximal"
    options = OPTIONS["proximal"]
    plain = {"mu": 0.0}  # noqa: RUF012 - as a user would write it


class TestAdditivePersonalization(RuleContract):
    """In a round in which its terms have grown."""

    plugin = ADDITIVE
    options = {"independence": 0.5, "sparsity": 0.5, "table_factor": 2.0}  # noqa: RUF012
    plain = {"independence": 0.0, "sparsity": 0.0}  # noqa: RUF012
    work = replace(RuleContract.work, round=9)
