"""The price of Skellam noise: a difference of two Poisson draws, added to integers.

Skellam variables add up to Skellam variables, so that the noise in a sum of clients' shares is known exactly, whoever
dropped out; on integers there is no rounding of floats for an attacker to look at (Agarwal, Kairouz and Liu 2021, "The
Skellam mechanism for differentially private federated learning").
"""

import numpy as np
from numpy.typing import NDArray

LEAST_RESOLUTION = 16.0
"""Fewest steps of the integer grid in the clip norm: what every price here takes for granted. A finer grid costs
less, by about 1 % or less for noise multipliers from 1."""


def renyi_of_skellam(orders: NDArray[np.float64], noise_multiplier: float) -> NDArray[np.float64]:
    """Return a bound on the Renyi divergences of one release to which a unit adds an integer vector, or nothing.

    With sensitivities D1 and D2 (in L1 and L2) and variance v the divergence of an integer order a > 1 is at most
    a D2^2 / (2 v) + min(((2 a - 1) D2^2 + 6 D1) / (4 v^2), 3 D1 / (2 v)) (Agarwal et al. 2021, corollary 4.1). Here
    D2 is at least `LEAST_RESOLUTION`, v is (z D2)^2, and D1 is at most D2^2, because numbers are integers. The first
    term is the Gaussian's; the second falls as the grid becomes finer. Between integers the bound is their chord's:
    (a - 1) times the divergence, a log-moment of the privacy loss, is convex in a, and 0 for a = 1.

    Args:
        orders: Above 1, `[orders]`.
        noise_multiplier: z: standard deviation of the noise over D2, above 0.
    """
    below, above = np.floor(orders), np.ceil(orders)
    share = orders - below
    moments = (1 - share) * _moment(below, noise_multiplier) + share * _moment(above, noise_multiplier)
    return np.asarray(moments / (orders - 1))


def _moment(order: NDArray[np.float64], noise_multiplier: float) -> NDArray[np.float64]:
    """Return the bound times `order - 1`, for integers from 1."""
    precision = noise_multiplier**-2
    second = np.minimum((2 * order + 5) * (precision / LEAST_RESOLUTION) ** 2 / 4, 1.5 * precision)
    return np.asarray((order - 1) * (order * precision / 2 + second))
