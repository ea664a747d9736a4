"""NewStrategy keeps the laws of every strategy, and moves as far as it should."""

import numpy as np

from simulations.new.new_strategy import NewStrategy
from simulations.testing.strategies import StrategyContract
from simulations.testing.world import strategy_context


class TestNewStrategy(StrategyContract):
    plugin = "new_strategy.py:NewStrategy"


def test_a_step_is_shortened_to_the_longest() -> None:
    strategy = NewStrategy(strategy_context(), longest=2.0)
    # (3, 4) is 5 long: 3 * 2 / 5 = 1.2, 4 * 2 / 5 = 1.6
    np.testing.assert_allclose(strategy.step({"w": np.array([3.0, 4.0], np.float32)})["w"], [1.2, 1.6])
    # (0.3, 0.4) is 0.5 long and stays
    np.testing.assert_allclose(strategy.step({"w": np.array([0.3, 0.4], np.float32)})["w"], [0.3, 0.4])
