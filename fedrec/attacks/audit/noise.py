"""Is the noise what is claimed, everywhere, and new each time? A test of noise itself: a simulator can run without it.

The bound on epsilon from guesses needs faults that are large; what was released less the same without noise shows
half a noise, a group of parameters without any, or a noise used twice, at once.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

Draw = Mapping[str, NDArray[np.floating]]
"""The noise of one release by group (an adapter's parameter each), in claimed deviations."""

UPDATES = "all parameters together"


@dataclass(frozen=True)
class NoiseTest:
    """An exact two-sided chi-square test of one kind of numbers.

    Attributes:
        of: What they are the noise of.
        numbers: How many were seen.
        relative_deviation: Their root mean square over the claimed standard deviation: near 1; nan without any.
        p: Chance of a deviation that far off, if the noise is independent Gaussian noise of the claimed deviation.
        level: Chance that a true claim is called false by this test.
    """

    of: str
    numbers: int
    relative_deviation: float
    p: float
    level: float

    @property
    def passes(self) -> tuple[float, float]:
        """Relative deviations between which the claim survives: with so few numbers nothing finer can be seen."""
        if not self.numbers:
            return 0.0, math.inf
        ends = chi2.ppf([self.level / 2, 1 - self.level / 2], self.numbers) / self.numbers
        return math.sqrt(ends[0]), math.sqrt(ends[1])

    @property
    def fault(self) -> str | None:
        """What is wrong, in a sentence; None if nothing is."""
        if self.p >= self.level:
            return None
        side = "less" if self.relative_deviation < 1 else "more"
        return (
            f"the noise of {self.of} is {self.relative_deviation:.3g} times the claimed: {side} than chance allows "
            f"(p = {self.p:.2g})"
        )


@dataclass(frozen=True)
class NoiseCheck:
    """What was seen.

    Attributes:
        draws: Number of updates' noises that were seen.
        updates: All parameters together.
        groups: Each group of parameters by itself; none if there is only one.
        others: Whatever else is released.
        p_repeated: Chance of two draws that alike, if all are independent.
        false_alarm: Chance that a true claim is called false, shared by all tests (Bonferroni).
    """

    draws: int
    updates: NoiseTest
    groups: Sequence[NoiseTest]
    others: Sequence[NoiseTest]
    p_repeated: float
    false_alarm: float

    @property
    def tests(self) -> list[NoiseTest]:
        """All tests of size."""
        return [self.updates, *self.groups, *self.others]

    @property
    def faults(self) -> list[str]:
        """What is wrong, in sentences; of the groups the one that is farthest off speaks for the others."""
        apart = sorted((test for test in self.groups if test.fault), key=lambda test: (test.p, test.relative_deviation))
        found = [fault for test in (self.updates, *apart[:1], *self.others) if (fault := test.fault)]
        if len(apart) > 1:
            found.append(f"nor is that of {len(apart) - 1} other groups of parameters as claimed")
        if self.p_repeated < self.false_alarm / (len(self.tests) + 1):
            again = "two draws of noise are more alike than chance allows: one was used again"
            found.append(f"{again} (p = {self.p_repeated:.2g})")
        return found


def noise_check(draws: Sequence[Draw], others: Draw | None = None, false_alarm: float = 1e-3) -> NoiseCheck:
    """Test whether numbers are independent Gaussian noise of deviation 1.

    Their sum of squares is then chi-square. The squared cosine of two independent draws is Beta(1/2, (numbers - 1) / 2)
    whatever their lengths; the most alike pair is judged, times the number of pairs.

    Args:
        draws: What was released less the same without noise, over the claimed deviation, a draw a release and all of
            one shape; none, or draws of no numbers, show nothing, and single draws or numbers cannot repeat.
        others: Whatever else is released with noise, likewise.
        false_alarm: Chance that a true claim is called false.
    """
    names = sorted(draws[0]) if draws else []
    groups = {name: np.stack([np.ravel(draw[name]) for draw in draws]).astype(np.float64) for name in names}
    together = np.concatenate([np.empty((len(draws), 0)), *groups.values()], axis=1)
    several, beside = groups if len(groups) > 1 else {}, others or {}
    level = false_alarm / (2 + len(several) + len(beside))
    return NoiseCheck(
        draws=len(draws),
        updates=_test(UPDATES, together, level),
        groups=[_test(name, numbers, level) for name, numbers in several.items()],
        others=[_test(name, numbers, level) for name, numbers in beside.items()],
        p_repeated=_p_repeated(together),
        false_alarm=false_alarm,
    )


def _test(of: str, noise: NDArray[np.floating], level: float) -> NoiseTest:
    numbers = np.ravel(noise).astype(np.float64)
    if not numbers.size:
        return NoiseTest(of, 0, float("nan"), 1.0, level)
    square, freedom = float(numbers @ numbers), numbers.size
    p = min(1.0, 2 * min(float(chi2.cdf(square, freedom)), float(chi2.sf(square, freedom))))
    return NoiseTest(of, freedom, math.sqrt(square / freedom), p, level)


def _p_repeated(noise: NDArray[np.float64]) -> float:
    draws, dimensions = noise.shape
    if draws < 2 or dimensions < 2:
        return 1.0
    lengths = np.linalg.norm(noise, axis=1, keepdims=True)
    units = np.divide(noise, lengths, out=np.zeros_like(noise), where=lengths > 0)
    alike = np.abs(units @ units.T)[np.triu_indices(draws, 1)]
    closest = min(1.0, float(alike.max()) ** 2)
    return min(1.0, len(alike) * float(beta.sf(closest, 0.5, (dimensions - 1) / 2)))
