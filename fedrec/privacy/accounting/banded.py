"""Correlated noise by banded matrix factorisation: what a round adds, later rounds take partly back.

Of n rounds' sums x the server releases `x + C^-1 z`, z being independent Gaussian noise and C a lower-triangular
Toeplitz matrix with b bands, whose columns have norm 1 (shorter in the last b - 1 rounds). A model is the sum of all
changes so far, so what counts is the noise on prefix sums, `A C^-1 z` with A the lower triangle of ones. Columns of C
that are b or more rounds apart have disjoint supports: k such rounds of one unit are k separate Gaussian releases.

Choquette-Choo et al. 2023, "(Amplified) Banded Matrix Factorization" (algorithm 2 and theorem 4: the accounting); the
start of the search is the square root of A (Fichtenberger, Henzinger and Upadhyay 2022), cut off after b bands
(Kalinin and Lampert 2024).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.signal import lfilter

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import calibrate

FloatArray = NDArray[np.float64]

ROUNDING = 1e-9
"""Distance from 1 at which a group's rate is 1: 49 bands at rate 1/49 make 1 - 1e-16, which no accountant can price."""


def coefficients(bands: int, rounds: int) -> FloatArray:
    """Return C's first column: the one of norm 1 with the least mean squared error of the n prefix sums.

    Args:
        bands: Rounds over which noise is correlated, at least 1; 1 is independent noise.
        rounds: Rounds of the run, n, at least 1.

    Returns:
        `[min(bands, rounds)]`, norm 1, the first positive; `[1.0]` for one band. The same numbers every time.
    """
    return np.array(_optimum(min(bands, rounds), rounds))


def square_root(bands: int) -> FloatArray:
    """Return the first coefficients of A's square root, `(-1)^k binom(-1/2, k)`, scaled to norm 1."""
    ages = np.arange(1, bands)
    root: FloatArray = np.cumprod(np.concatenate([[1.0], 1 - 1 / (2 * ages)]))
    scaled: FloatArray = root / np.linalg.norm(root)
    return scaled


def next_noise(fresh: FloatArray, earlier: Sequence[FloatArray], factor: Sequence[float] | FloatArray) -> FloatArray:
    """Return this round's noise, its row of `C^-1 z`: `(z_t - sum_i c_i noise_(t-i)) / c_0`.

    Args:
        fresh: z_t, independent of every other round's; its deviation is the calibrated noise.
        earlier: What this function returned in the rounds before, newest first, of the shape of `fresh`; empty in the
            first round. Those older than bands - 1 rounds are not looked at.
        factor: The coefficients c.

    Returns:
        An array of its own, of the shape of `fresh`.
    """
    noise = fresh.copy()
    for weight, past in zip(factor[1:], earlier, strict=False):
        noise -= weight * past
    return noise / factor[0]


def prefix_errors(factor: Sequence[float] | FloatArray, rounds: int) -> FloatArray:
    """Return the noise's deviation on the sum of the first 1, 2, ..., n rounds, `[n]`, for z of deviation 1.

    They rise: the last one is that of the final model.
    """
    errors: FloatArray = np.sqrt(np.cumsum(_summed_inverse(factor, rounds) ** 2))
    return errors


def prefix_error(rounds: int, bands: int) -> float:
    """Return the root mean square over rounds of `prefix_errors`: `||A C^-1||_F / sqrt(n)`.

    One band gives `sqrt((n + 1) / 2)`.
    """
    return float(np.sqrt(np.mean(prefix_errors(coefficients(bands, rounds), rounds) ** 2)))


def rate_in_group(rate: float, bands: int) -> float:
    """Return the coin of a member of the group whose turn it is: `bands * rate`, so that cohorts stay as large.

    Args:
        rate: Mean share of all units in a round's cohort, in (0, 1 / bands].
        bands: Number of groups.

    Raises:
        PrivacyError: If a group is too small for the cohort.
    """
    found = bands * rate
    if not 0 < found <= 1 + ROUNDING:
        message = f"{bands} bands need a rate in (0, 1/{bands}], got {rate:g}; choose fewer bands"
        raise PrivacyError(message)
    return found if found < 1 - ROUNDING else 1.0


def noise_multiplier(rounds: int, bands: int, rate: float, epsilon: float, delta: float) -> float:
    """Return the deviation of z, in clip norms, at which the whole run costs `epsilon`.

    Units are split into as many groups as there are bands, each unit whatever the others are. Round t draws from group
    t mod b alone, each member by its own secret coin (see `rate_in_group`). A unit is then in at most ceil(n / b)
    rounds, b or more apart, which together are as many Poisson-sampled Gaussian releases.

    Args:
        rounds: Rounds of the run, n.
        bands: b, at most `rounds`.
        rate: Mean share of all units in a round's cohort, at most 1 / b.
        epsilon: Target for one unit, add/remove.
        delta: Chance of failure.

    Raises:
        PrivacyError: If there are too many bands for the rate or the rounds, or no noise meets epsilon.
    """
    if not 1 <= bands <= rounds:
        message = f"{rounds} rounds can have 1 to {rounds} bands, got {bands}; choose a number in that range"
        raise PrivacyError(message)
    return calibrate(epsilon, delta, rate_in_group(rate, bands), -(-rounds // bands))


def expected_error(rounds: int, bands: int, rate: float, epsilon: float, delta: float) -> float:
    """Return the deviation, in clip norms, of the noise on each number of a prefix sum: root mean square over rounds.

    Args and errors are those of `noise_multiplier`.
    """
    return noise_multiplier(rounds, bands, rate, epsilon, delta) * prefix_error(rounds, bands)


def best_bands(rounds: int, rate: float, epsilon: float, delta: float, most: int | None = None) -> int:
    """Return the number of bands with the least `expected_error`, the fewest of equals.

    More bands cancel more noise, but a unit's coin shows heads more often, which amplifies less.

    Args:
        rounds: Rounds of the run.
        rate: Mean share of all units in a round's cohort, in (0, 1].
        epsilon: Target for one unit.
        delta: Chance of failure.
        most: Most bands to consider, at least 1; None for all that `rate` and `rounds` allow.

    Raises:
        PrivacyError: As `noise_multiplier` does.
    """
    allowed = min(rounds, int((1 + ROUNDING) / rate) if rate > 0 else 1, rounds if most is None else most)
    return min(range(1, max(allowed, 1) + 1), key=lambda bands: expected_error(rounds, bands, rate, epsilon, delta))


@lru_cache(maxsize=256)
def _optimum(bands: int, rounds: int) -> tuple[float, ...]:
    """Return the coefficients; c_0 is held at 1 in the search, as the error at equal sensitivity has no scale."""
    start = square_root(bands)
    start /= start[0]
    scale, _ = _loss(start[1:], rounds)

    def relative(tail: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = _loss(tail, rounds)
        return loss / scale, gradient / scale

    precise = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000, "maxfun": 4000}
    tail = start[1:] if bands == 1 else minimize(relative, start[1:], method="L-BFGS-B", jac=True, options=precise).x
    found = np.concatenate([[1.0], tail])
    return tuple((found / np.linalg.norm(found)).tolist())


def _loss(tail: FloatArray, rounds: int) -> tuple[float, FloatArray]:
    """Return the mean squared prefix error times C's squared column norm, and its gradient, for c = (1, *tail).

    With w = C^-1 1 (the coefficients of A C^-1) the error is sum_t v_t w_t^2, v_t being the share of the prefix sums
    that w_t is in. As dw / dc_i is `-C^-1 w` shifted by i, the gradient takes one solve with C's transpose.
    """
    factor = np.concatenate([[1.0], tail])
    shares = np.arange(rounds, 0, -1) / rounds
    summed = _summed_inverse(factor, rounds)
    error, norm = float(shares @ summed**2), float(factor @ factor)
    back = lfilter([1.0], factor, (2 * shares * summed)[::-1])[::-1]
    slopes = np.array([-(back[age:] @ summed[: rounds - age]) for age in range(1, len(factor))])
    return error * norm, norm * slopes + 2 * error * tail


def _summed_inverse(factor: Sequence[float] | FloatArray, rounds: int) -> FloatArray:
    """Return the first column of the Toeplitz matrix A C^-1, `[n]`, by the recurrence of `next_noise`."""
    summed: FloatArray = lfilter([1.0], factor, np.ones(rounds))
    return summed
