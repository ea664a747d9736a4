"""What a trusted shuffler is worth: messages with local noise, of which nobody learns who sent them.

Each of n clients, a user each, makes its message from its own data by the same randomiser, Gaussian noise included. A
shuffler passes on the messages in random order, and whoever sees them cannot tell the one that the unit's data went
into from others that might as well have come from the same data (Feldman, McMillan and Talwar 2021, "Hiding among the
clones"). The adversary knows everybody else's data.

**One round.** Let P be the law of the unit's message with its data and Q without (zero-out), (epsilon0, delta0)-
indistinguishable. Let delta0 be 0 first, and a = e^epsilon0 / (1 + e^epsilon0).

- P and Q are mixtures of the same two laws, with weights (a, 1 - a) and (1 - a, a) (Kairouz, Oh and Viswanath 2015).
- Every other client's law is at least e^-epsilon0 Q, whatever its data: with that chance, each for itself, it answers
  as if it had none (the blanket of Balle et al. 2019).
- So the shuffled messages are a function of C ~ Binomial(n - 1, e^-epsilon0) and of how many of C + 1 messages are of
  the first law: Binomial(C, 1 - a) + Bernoulli(a) with the data, Binomial(C, 1 - a) + Bernoulli(1 - a) without.
- Fewer clones protect less, because more can be added afterwards, as can the messages of clients beyond the n: C is
  bounded from below, with a chance of failure.

Where a neighbour has *other* data of the unit (replace-one), epsilon0 is that of any two inputs, and clones answer as
either of the two: Binomial(C, 1 / 2) in the place of Binomial(C, 1 - a) (theorem 3.2 of the paper).

**delta0** makes all messages together differ from such a pure randomiser's by at most (1 + e^-epsilon0 / 2) n delta0 in
total variation, which costs e^epsilon + 1 times that of delta (theorem 3.8). Zero-out needs no more: P and Q are
delta0 / (1 + e^epsilon0) away from laws that are purely close (Dwork, Rothblum and Vadhan 2010), and what of
e^-epsilon0 times the latter exceeds another client's law is at most e^-epsilon0 (1 + 1 / (1 + e^epsilon0)) delta0.

**Rounds.** Each is dominated by its pair of laws whatever model earlier rounds led to, and such pairs compose
adaptively (Zhu, Dong and Wang 2022, theorem 10): privacy-loss distributions are convolved, chances of failure and
distances of all rounds added. A client must keep nothing private between rounds but its data.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from dp_accounting.pld import privacy_loss_distribution
from scipy.special import expit, log_ndtr, ndtr
from scipy.stats import binom

FEW_CLONES = 0.01
"""Share of delta for having fewer clones than counted on, in any round."""

IMPURE = 0.1
"""Share of delta for local randomisers that are not purely private."""

MOST_EPSILON = 20.0
"""What costs more than this is not worth a number."""

_TOLERANCE = 1e-4
_DEVIATIONS = 9
_CELLS = 50


@dataclass(frozen=True)
class Shuffled:
    """Rounds whose messages a trusted shuffler mixes.

    Args:
        messages: Fewest messages that it passes on in a round, the unit's own included, at least 1.
        rounds: How many, each with all clients.
        delta: Chance of failure, in (0, 1).
        replace: Whether a neighbour has other data of the unit, instead of none.
    """

    messages: int
    rounds: int
    delta: float
    replace: bool = False

    @property
    def left(self) -> float:
        """What of delta is left to the clones."""
        return self.delta * (1 - FEW_CLONES - IMPURE)

    def composed(self, noise_multiplier: float, most: float) -> Any | None:
        """Return dp-accounting's privacy-loss distribution of all rounds; None without a clone.

        Args:
            noise_multiplier: Noise of a message, above 0.
            most: The epsilon up to which delta0's part of delta stays in its share.
        """
        impure = IMPURE * self.delta / (self.rounds * self.messages * (math.exp(most) + 1) * 1.5)
        pure = local_epsilon((2 if self.replace else 1) / noise_multiplier, impure)
        clones = int(binom.ppf(FEW_CLONES * self.delta / self.rounds, self.messages - 1, math.exp(-pure)))
        return _pld(pure, clones, 0.5 if self.replace else float(expit(-pure)), self.rounds) if clones else None


@lru_cache(maxsize=4096)
def epsilon(noise_multiplier: float, of: Shuffled) -> float:
    """Return an epsilon of shuffled rounds, inf if none is found below `MOST_EPSILON`; it may exceed the unshuffled.

    Args:
        noise_multiplier: Noise of a client's message over the clip norm; of k steps that of one over sqrt(k).
        of: The rounds; none cost nothing.
    """
    if not of.rounds or not noise_multiplier:
        return math.inf if of.rounds else 0.0
    # delta0's part of delta depends on the epsilon that is not exceeded: from below, until one is not.
    most = found = 0.0
    while found < MOST_EPSILON and (composed := of.composed(noise_multiplier, most)) is not None:
        found = float(composed.get_epsilon_for_delta(of.left))
        if found <= most:
            return found
        most = found * (1 + _TOLERANCE)
    return math.inf


@lru_cache(maxsize=256)
def calibrate(target: float, of: Shuffled) -> float:
    """Return a noise multiplier whose `epsilon` is at most the target, hardly more than the least.

    Returns:
        Noise over the clip norm on a client's message; inf if none is found.
    """
    most = min(target, MOST_EPSILON) * (1 - 2 * _TOLERANCE)

    def enough(noise_multiplier: float) -> bool:
        composed = of.composed(noise_multiplier, most)
        return composed is not None and composed.get_delta_for_epsilon(most) <= of.left

    low, high = 0.125, 0.25
    while not enough(high):
        low, high = high, 2 * high
        if high > 2**20:
            return math.inf
    while high > low * (1 + _TOLERANCE):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    # The grids of both differ, and with them how much is rounded up.
    while epsilon(high, of) > target:
        high *= 1 + _TOLERANCE
    return high


def local_epsilon(distance: float, delta: float) -> float:
    """Return epsilon of two unit Gaussians a distance apart, at delta, from above (Balle and Wang 2018, theorem 8)."""
    low, high = 0.0, distance**2 / 2 + distance * math.sqrt(2 * math.log(1 / delta))
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        lost = math.exp(middle + log_ndtr(-distance / 2 - middle / distance))
        low, high = (low, middle) if ndtr(distance / 2 - middle / distance) - lost <= delta else (middle, high)
    return high


def _pld(pure: float, clones: int, shown: float, rounds: int) -> Any:
    """Return dp-accounting's privacy-loss distribution of all rounds, rounded up.

    Args:
        pure: epsilon0.
        clones: Their number in each round.
        shown: Chance of a clone to be of the law that the unit's data favours.
        rounds: At least 1.
    """
    favoured = float(expit(pure))
    wide = _DEVIATIONS * math.sqrt(clones * shown * (1 - shown)) + 40
    counts = np.arange(max(0, int(clones * shown - wide)), min(clones + 1, int(clones * shown + wide) + 1) + 1)
    without, with_one = binom.pmf(counts, clones, shown), binom.pmf(counts - 1, clones, shown)
    upper = favoured * with_one + (1 - favoured) * without
    lower = (1 - favoured) * with_one + favoured * without
    # Far out a chance rounds to 0: that mass, and what lies beyond, is counted as lost for good.
    seen = (upper > 1e-300) & (lower > 1e-300)
    counts, upper, lower = counts[seen], upper[seen], lower[seen]
    spread = math.sqrt(float(np.sum(upper * np.log(upper / lower) ** 2)))
    return privacy_loss_distribution.from_two_probability_mass_functions(
        _logarithms(counts, lower, -1),
        _logarithms(counts, upper, clones + 2),
        value_discretization_interval=max(min(0.01, spread / (_CELLS * math.sqrt(rounds))), 1e-7),
        symmetric=False,
    ).self_compose(rounds)


def _logarithms(counts: Any, chances: Any, beyond: int) -> dict[int, float]:
    """Return the logarithm of each count's chance, and of what is left to 1 under a key that no other law has."""
    rest = max(1 - float(chances.sum()), 1e-16)
    return {**dict(zip(counts.tolist(), np.log(chances).tolist(), strict=True)), beyond: math.log(rest)}
