"""Is the noise as large as claimed, and new each time? A test of noise itself, for a simulator can run without it.

The bound on epsilon from guesses needs faults that are large; what was released less the same without noise shows
half a noise, or a noise used twice, at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, chi2

from fedrec.errors import PrivacyError


@dataclass(frozen=True)
class NoiseCheck:
    """What was seen.

    Attributes:
        draws: Number of noise vectors.
        dimensions: Length of each.
        relative_deviation: Their root mean square over the claimed standard deviation: near 1; nan without any.
        p_scale: Chance of a deviation that small, if the noise is what is claimed.
        p_repeated: Chance of two draws that alike, if all are independent.
        false_alarm: Chance that a true claim is called false.
    """

    draws: int
    dimensions: int
    relative_deviation: float
    p_scale: float
    p_repeated: float
    false_alarm: float

    @property
    def faults(self) -> list[str]:
        """What is wrong, in sentences; each test has half of the false alarms."""
        rules = [
            (self.p_scale, f"the noise is {self.relative_deviation:.3g} times the claimed: less than chance allows"),
            (self.p_repeated, "two draws of noise are more alike than chance allows: one was used again"),
        ]
        return [f"{text} (p = {p:.2g})" for p, text in rules if p < self.false_alarm / 2]


def noise_check(residuals: Sequence[NDArray[np.floating]], deviation: float, false_alarm: float = 1e-3) -> NoiseCheck:
    """Test whether vectors are independent Gaussian noise of the claimed deviation, or more.

    Their squared length over `deviation^2` is chi-square, or more. The squared cosine of two independent ones is
    Beta(1/2, (dimensions - 1) / 2) whatever their lengths; the most alike pair is judged, times the number of pairs.

    Args:
        residuals: What was released less the same without noise, one vector a release, all of one length; none, or
            vectors of length 0, show nothing, and single vectors or numbers cannot repeat.
        deviation: Claimed standard deviation of each coordinate.
        false_alarm: Chance that a true claim is called false.

    Raises:
        PrivacyError: If no noise is claimed.
    """
    if not deviation > 0:
        message = f"noise of deviation {deviation} cannot be checked; set privacy.epsilon"
        raise PrivacyError(message)
    noise = np.stack(residuals).astype(np.float64) / deviation if len(residuals) else np.empty((0, 0))
    if not noise.size:
        return NoiseCheck(len(noise), noise.shape[1], float("nan"), 1.0, 1.0, false_alarm)
    square, freedom = float(np.sum(noise**2)), noise.size
    return NoiseCheck(
        draws=len(noise),
        dimensions=noise.shape[1],
        relative_deviation=float(np.sqrt(square / freedom)),
        p_scale=float(chi2.cdf(square, freedom)),
        p_repeated=_p_repeated(noise),
        false_alarm=false_alarm,
    )


def _p_repeated(noise: NDArray[np.float64]) -> float:
    draws, dimensions = noise.shape
    if draws < 2 or dimensions < 2:
        return 1.0
    lengths = np.linalg.norm(noise, axis=1, keepdims=True)
    units = np.divide(noise, lengths, out=np.zeros_like(noise), where=lengths > 0)
    alike = np.abs(units @ units.T)[np.triu_indices(draws, 1)]
    closest = min(1.0, float(alike.max()) ** 2)
    return min(1.0, len(alike) * float(beta.sf(closest, 0.5, (dimensions - 1) / 2)))
