"""Each client's share of the noise: no one adds enough to be private alone, the survivors together do.

The sum of independent Gaussians is Gaussian, with the variances added. Each client adds noise of deviation
z C / sqrt(t), where t is the fewest honest clients that are ever summed. So whenever a sum is opened, of s >= t honest
survivors, its noise has deviation z C sqrt(s / t) >= z C: never less than what the ledger is charged for. Dropouts cost
utility, not privacy: when nobody drops out there is sqrt(cohort / t) times more noise than needed, and below t nothing
is opened.

Noise is added in integers, after rounding, so that the sum of vectors and the sum of noises stay apart: one client's
vector moves the sum by at most C, whatever the noise. Each share is a Gaussian rounded to the grid. Seen from outside
this is the Gaussian plus an independent rounding error of up to half a step, at multiples of the step; as long as a
share has several steps in a deviation, the hockey-stick divergence is at most that of the continuous Gaussian, up to
terms of exp(-2 pi^2 (deviation / step)^2) (Poisson summation; Kairouz, Liu, Steinke 2021 for discrete Gaussians), which
from four steps on no float64 can show. So it is charged as a Gaussian; a test compares the two, one number at a time.
"""

import math

from fedrec.core.errors import ConfigError


def noise_share(noise_multiplier: float, clip_norm: float, threshold: int, colluding: int = 0) -> float:
    """Return the standard deviation of the noise that each client adds.

    With dropouts, the total is never below `noise_multiplier * clip_norm`: it is sized for the threshold, not for the
    cohort.

    Args:
        noise_multiplier: z: deviation of the needed total over `clip_norm`; 0 for none.
        clip_norm: C: L2 bound of one client's vector.
        threshold: Fewest clients whose sum is ever opened.
        colluding: Most of them that help the server: their noise hides nothing from it, so it is not counted.

    Raises:
        ConfigError: If nobody honest is left to add noise.
    """
    honest = threshold - colluding
    if honest < 1 or colluding < 0:
        message = f"of {threshold} clients, {colluding} collude: {honest} are left to add noise, but 1 is needed"
        raise ConfigError(message)
    return noise_multiplier * clip_norm / math.sqrt(honest)


def total_deviation(share: float, survivors: int) -> float:
    """Return the standard deviation of the noise in the sum of so many survivors."""
    return share * math.sqrt(survivors)
