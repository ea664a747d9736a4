"""Every registered recommender keeps the contract from the day it is registered."""

import pytest

from fedrec.models import MODELS
from simulations.testing.models import ModelContract


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("plugin", MODELS.names())
class TestEveryModel(ModelContract):
    """The contract that a user's own recommender inherits, too."""
