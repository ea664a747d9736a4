"""NewStrategy: an average whose step is never longer than `longest`."""

from server.aggregation.update import Arrays, norm_of
from server.base import MeanStrategy
from server.context import StrategyContext, between


class NewStrategy(MeanStrategy):
    """Moves by the clients' mean change, shortened to `longest` if it is longer.

    What must survive a restart goes through `state` and `restore`, as in server/strategies/fedavgm.py.

    Args:
        context: What the runner tells of the run.
        longest: Longest step (L2 over the whole adapter), above 0.
    """

    def __init__(self, context: StrategyContext, longest: float = 1.0) -> None:
        super().__init__(context)
        self.longest = between("longest", longest, above=0)

    def step(self, update: Arrays) -> Arrays:
        """Return `update * min(1, longest / |update|)`."""
        factor = min(1.0, self.longest / max(norm_of(update), self.longest))
        return {name: (value * factor).astype(value.dtype) for name, value in update.items()}
