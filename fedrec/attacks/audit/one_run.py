"""A lower bound on epsilon from one run (Steinke, Nasr, Jagielski 2023, "Privacy Auditing with One (1) Training Run").

Every canary is in the training data by its own fair coin. An auditor who sees what the adversary sees guesses some of
the coins and abstains from the others. Under (epsilon, delta)-differential privacy (add/remove) the number of right
guesses is hardly larger than randomised response would allow (Theorem 5.2), so a larger one refutes the claim. It
assumes nothing about the mechanism; `fedrec.attacks.audit.f_dp` proves more where the mechanism is nearly Gaussian.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from fedrec.core.errors import PrivacyError

SHARES = (1.0, 0.5, 0.25)
"""Shares of the canaries that are guessed: the best of several counts, and each pays for the choice (Bonferroni)."""

_HALVINGS = 40


@dataclass(frozen=True)
class Guesses:
    """What the auditor guessed, several times: with several numbers of guesses.

    Attributes:
        canaries: Number of coins.
        counts: Number of guesses, and how many were right, each time.
    """

    canaries: int
    counts: Sequence[tuple[int, int]]

    @property
    def all_right(self) -> "Guesses":
        """The same as a perfect attacker would have made them: more than that cannot be proved with these canaries."""
        return Guesses(self.canaries, [(guesses, guesses) for guesses, _ in self.counts])


@dataclass(frozen=True)
class LowerBound:
    """What the guesses prove.

    Attributes:
        epsilon: The mechanism is not (e, delta)-private for any e below this; 0 when nothing is proved.
        delta: Chance of failure that the mechanism was granted.
        confidence: Chance, over coins and noise, that the bound holds, at least.
        canaries: Number of coins.
        guesses: How many of them were guessed.
        right: How many guesses were right.
        most: What epsilon would be if all guesses were right: a claim above it cannot be refuted by these canaries.
        mu: The mechanism is not m-GDP for any m below this; None where it was not tested.
    """

    epsilon: float
    delta: float
    confidence: float
    canaries: int
    guesses: int
    right: int
    most: float = math.inf
    mu: float | None = None


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return at most how likely so many right guesses are if the mechanism is (epsilon, delta)-private.

    `P[B >= right] + 2 canaries delta max_i P[right > B >= right - i] / i`, with `B` binomial: that many guesses, each
    right with chance `e^epsilon / (1 + e^epsilon)`. No guess at all is certain: 1.

    Raises:
        PrivacyError: Unless `0 <= right <= guesses <= canaries`, `epsilon >= 0` and `delta` lies in [0, 1].
    """
    if not (0 <= right <= guesses <= canaries and epsilon >= 0 and 0 <= delta <= 1):
        message = (
            f"an audit needs right <= guesses <= canaries, epsilon >= 0 and delta in [0, 1], got {right} right of "
            f"{guesses} guesses, {canaries} canaries, epsilon {epsilon}, delta {delta}"
        )
        raise PrivacyError(message)
    chance = 1 / (1 + np.exp(-epsilon))
    fewer = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, chance))
    slack = float(np.max(fewer / np.arange(1, right + 1), initial=0.0))
    return min(1.0, float(binom.sf(right - 1, guesses, chance)) + 2 * canaries * delta * slack)


@lru_cache(maxsize=1024)
def epsilon_at_least(canaries: int, guesses: int, right: int, delta: float, confidence: float = 0.95) -> float:
    """Return the largest epsilon that so many right guesses refute; 0 if they refute none.

    Args:
        canaries: Number of fair coins.
        guesses: How many were guessed; how many must not depend on the coins.
        right: How many guesses were right.
        delta: Chance of failure that the mechanism is granted.
        confidence: At most `1 - confidence` of all audits of a private mechanism refute what is true.

    Raises:
        PrivacyError: If the numbers do not fit together.
    """
    if not 0 < confidence < 1:
        message = f"confidence is {confidence}: should be above 0 and below 1, such as 0.95"
        raise PrivacyError(message)

    def refuted(epsilon: float) -> bool:
        return p_value(canaries, guesses, right, epsilon, delta) < 1 - confidence

    return largest(refuted)


def largest(refuted: Callable[[float], bool]) -> float:
    """Return the largest value that is refuted, from below; 0 if none is. Whatever lies below a refuted one is, too."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high):
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def right_guesses(scores: NDArray[np.float64], included: NDArray[np.bool_], guesses: int) -> int:
    """Return how many guesses are right: the highest half of `guesses` scores are called in, the lowest half out.

    Equal scores keep the canaries' order, which knows nothing of the coins. An odd number is rounded down.
    """
    order, half = np.argsort(scores, kind="stable"), guesses // 2
    return int(np.sum(~included[order[:half]]) + np.sum(included[order[len(order) - half :]]))


def guess(scores: NDArray[np.float64], included: NDArray[np.bool_], shares: Sequence[float] = SHARES) -> Guesses:
    """Return how often guesses by score are right, for each share of the canaries that is guessed.

    Args:
        scores: How much each canary looks as if it had been trained on, `[canaries]`; there may be none.
        included: The coins, `[canaries]`.
        shares: Shares of the canaries that are guessed.

    Raises:
        PrivacyError: If a score is NaN, because it would be counted as the highest.
    """
    if np.isnan(scores).any():
        message = f"{int(np.isnan(scores).sum())} of {len(scores)} canaries have no score; lower training.lr"
        raise PrivacyError(message)
    numbers = [2 * (round(share * len(scores)) // 2) for share in shares]
    return Guesses(len(scores), [(number, right_guesses(scores, included, number)) for number in numbers])


def lower_bound(guessed: Guesses, delta: float, confidence: float = 0.95) -> LowerBound:
    """Return the best bound of several numbers of guesses, valid together at `confidence`; no canary proves nothing.

    Args:
        guessed: What was guessed.
        delta: Chance of failure that the mechanism is granted.
        confidence: Of the result; each number of guesses is judged at `level_of`.
    """
    each = 1 - level_of(guessed, confidence)

    def best(of: Guesses) -> tuple[float, int, int]:
        tried = [(epsilon_at_least(of.canaries, *count, delta, each), *count) for count in of.counts]
        return max(tried, key=lambda bound: bound[0])

    epsilon, guesses, right = best(guessed)
    return LowerBound(epsilon, delta, confidence, guessed.canaries, guesses, right, best(guessed.all_right)[0])


def level_of(guessed: Guesses, confidence: float) -> float:
    """Return at which level each number of guesses is judged: all together err with `1 - confidence` (Bonferroni)."""
    return (1 - confidence) / len(guessed.counts)
