"""Individual filters: each unit pays for the length of its own contributions, and adds nothing once its budget is gone.

A unit's budget is that of `rounds` contributions as long as the clip norm C. In each round its clipped contribution is
shortened, if need be, to what its budget has left: so the squares of its contributions' lengths add up to `rounds *
C^2` at most, however many rounds there are. Then nobody learns more than from one Gaussian release of distance mu =
sqrt(rounds) / noise_multiplier tells, which is what `rounds` releases of contributions of length C cost. Individual
filters are Feldman and Zrnic's (2021, for Renyi divergences); with Gaussian noise they lose nothing (Koskela, Tobaben
and Honkela 2023).

Proof. Let a neighbour have nothing of one unit. Given the results so far, the others contribute the same in both
worlds: what a filter decides depends on these results and on its own unit's data, cohort and denominator on neither. So
a round's result is N(s + x, z^2 C^2 I) or N(s, z^2 C^2 I), s and x being fixed by the results so far, and without the
unit the logarithm of the two densities' ratio gains m_t g_t - m_t^2 / 2, where m_t = |x| / (z C) and g_t is standard
normal given the past. The filter sees to it that all m_t^2 add up to mu^2 at most, surely. A last result that brings
them to mu^2, and that nobody needs to look at, can only tell more. Now for every u, exp(i u S_t + u^2 V_t / 2), with
S_t and V_t the sums of m g and m^2 up to round t, is a bounded martingale that starts at 1, and V ends at mu^2 surely:
so S ends with the characteristic function exp(-u^2 mu^2 / 2), as N(0, mu^2). A loss of N(-mu^2 / 2, mu^2) is that of
one Gaussian release of distance mu. If a neighbour has other data instead, m_t is the distance of both worlds'
contributions, and by Minkowski's inequality the root of the sum of m_t^2 is 2 mu at most: the price of two clip norms.
A release of another kind with Gaussian noise, before the first round (item counts), is one more m.

All this takes noise of one size, independent from round to round, and cohorts that amplify nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10
"""Parts of a budget by which `Filter.told` counts who has spent how much."""


@dataclass(frozen=True, eq=False)
class Filter:
    """What each client may still spend. Private: it follows from the lengths of its own contributions.

    Attributes:
        left: What is left of each client's budget, `[clients]`; a contribution as long as the clip norm costs 1.
        rounds: Everybody's budget, at least 1.
        clip_norm: L2 norm of a contribution that costs 1.
    """

    left: NDArray[np.float64]
    rounds: int
    clip_norm: float

    @classmethod
    def full(cls, clients: int, rounds: int, clip_norm: float) -> "Filter":
        """Return the filter before any round."""
        return cls(np.full(clients, float(rounds)), rounds, clip_norm)

    def admit(self, client: int, length: float) -> tuple[float, float]:
        """Return what a contribution is multiplied by, at most 1, and what it then costs, at most what is left.

        Args:
            client: Whose it is.
            length: Its L2 norm, finite; 0 costs nothing.
        """
        squared, left = (length / self.clip_norm) ** 2, float(self.left[client])
        if squared <= left:
            return 1.0, squared
        return self.clip_norm * left**0.5 / length, left

    def after(self, costs: Mapping[int, float]) -> "Filter":
        """Return what is left when these clients have paid, each at most what it had."""
        left = self.left.copy()
        left[list(costs)] -= list(costs.values())
        return replace(self, left=left)

    def told(self) -> dict[str, Any]:
        """Return who can still take part, and how many have spent which tenth of their budget, the last one whole."""
        spent = 1 - self.left / self.rounds
        return {
            "active": int(np.count_nonzero(self.left)),
            "spent_tenths": np.histogram(spent, BINS, (0.0, 1.0))[0].tolist(),
        }
