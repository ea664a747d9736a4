"""Shrinkage: FedAvg with momentum that knows its noise and takes each array's step by the share that is signal.

A mean of clipped changes is signal plus Gaussian noise of known variance. Shrinking its `d` numbers by
`max(0, 1 - d * variance / norm^2)` lowers their expected squared error (James & Stein 1961, positive part; the noise
is known, because the server added it). An array in which noise drowns all signal then stays where it is, and the others
move on. Momentum comes first: it averages noise over rounds, so that less is left to shrink. Post-processing: it costs
no privacy.
"""

import numpy as np

from fedrec.core.errors import ConfigError
from server.aggregation.update import Array, Arrays, State
from server.base import STRATEGIES
from server.context import StrategyContext
from server.strategies.fedavgm import FedAvgM

VARIANCE = "variance"


@STRATEGIES.register("shrinkage")
class Shrinkage(FedAvgM):
    """FedAvgM, shrunk array by array; without noise on the sum it is FedAvgM.

    The noise is taken for independent from round to round; correlated noise is less in a mean over rounds, so that then
    too much is shrunk. Noise that clients add for themselves (`privacy.trust = "local"`) is not known here, and not
    shrunk.

    Args:
        context: What the runner tells of the run.
        server_lr: Factor on the shrunk mean over rounds, above 0.
        momentum: Decay of that mean, in [0, 1).

    Raises:
        ConfigError: If the clip norm adapts: the noise then follows what this strategy does not see.
    """

    def __init__(self, context: StrategyContext, server_lr: float = 1.0, momentum: float = 0.8) -> None:
        super().__init__(context, server_lr, momentum)
        self.noise_variance = noise_variance(context)
        self.variance = 0.0
        """Variance of the noise on each number of the mean over rounds."""

    def step(self, update: Arrays) -> Arrays:
        """Return FedAvgM's step, each array times its share of signal."""
        change = super().step(update)
        self.variance = self.momentum**2 * self.variance + (1 - self.momentum) ** 2 * self.noise_variance
        return {
            name: (signal_share(mean, self.variance) * change[name]).astype(np.float32)
            for name, mean in self.mean.items()
        }

    def state(self) -> State:
        """Return the mean over rounds and the variance of its noise."""
        return {**{f"mean/{name}": mean for name, mean in self.mean.items()}, VARIANCE: np.array(self.variance)}

    def restore(self, state: State) -> None:
        """Take both back."""
        super().restore({n.removeprefix("mean/"): mean for n, mean in state.items() if n != VARIANCE})
        self.variance = float(state.get(VARIANCE, 0.0))


def signal_share(noisy: Array, variance: float) -> float:
    """Return the James-Stein factor of numbers with noise of this variance each: in [0, 1], 0 if all are 0."""
    length, expected = float(np.square(noisy, dtype=np.float64).sum()), noisy.size * variance
    return 1 - expected / length if length > expected else 0.0


def noise_variance(context: StrategyContext) -> float:
    """Return the variance of the noise on each number of a round's mean change; 0 where the sum has none.

    Raises:
        ConfigError: If the clip norm adapts.
    """
    plan = context.plan
    if not context.sums_are_noised:
        return 0.0
    if plan.clipping is not None:
        message = (
            "strategy.name=shrinkage needs to know the noise beforehand, but privacy.adaptive_clip.quantile lets it "
            "follow the updates; leave that unset, or choose another strategy"
        )
        raise ConfigError(message)
    return (plan.noise_multiplier * plan.clip_norm / context.expected_cohort) ** 2
