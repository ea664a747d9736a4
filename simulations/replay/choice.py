"""A simulated user who looks at a list: multinomial logit with an outside option (McFadden 1974).

An item of utility `u` is chosen with probability `exp(u) / (1 + sum over the list of exp(utility))`; with what is left,
nothing is. What is chosen is not offered again, so that several looks draw without replacement.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from fedrec.data.interactions import IntArray

Utilities = NDArray[np.float64]


def choice_share(utilities: Utilities) -> float:
    """Return the probability that a look at a list ends with a choice; 0 for an empty list."""
    return float(expit(logsumexp(utilities))) if len(utilities) else 0.0


def choose(utilities: Utilities, looks: int, rng: np.random.Generator) -> IntArray:
    """Return the places that are chosen, in the order of the looks; as many as looks ended with a choice.

    A choice is the largest of the utilities with independent standard Gumbel errors, the outside option's being 0.

    Args:
        utilities: Of the list's items.
        looks: How many, at least 0.
        rng: Of the user in this window.
    """
    left = np.array(utilities, dtype=np.float64)
    chosen = []
    for errors in rng.gumbel(size=(looks, len(left) + 1)):
        place = int(np.argmax(np.append(left, 0.0) + errors))
        if place < len(left):
            chosen.append(place)
            left[place] = -np.inf
    return np.array(chosen, dtype=np.int64)
