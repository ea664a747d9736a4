"""Every registered metric keeps the contract from the day it is registered."""

import pytest

from fedrec.metrics.accuracy import METRICS
from simulations.testing.metrics import MetricContract


@pytest.mark.parametrize("plugin", METRICS.names())
class TestEveryMetric(MetricContract):
    """The contract that a user's own metric inherits, too."""
