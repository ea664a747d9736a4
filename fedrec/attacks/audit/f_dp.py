"""Lower bounds from one run by trade-off curves (Mahloujifar, Melis, Chaudhuri 2024, "Auditing f-DP in One Run").

A whole trade-off curve limits how many coins can be guessed far more tightly than one of its points (epsilon, delta)
does, so the same guesses refute more. Two things are tested:

- the *claim* itself: the curve of the run's own ledger, with no assumption at all;
- the family of Gaussian curves (mu-GDP; Dong, Roth and Su 2022). What is proved is that the mechanism is not mu-GDP.
  The epsilon that goes with this mu is a lower bound for mechanisms whose curve is Gaussian: Gaussian noise without
  secret sampling. With secret sampling the curve is another, so that there only the test of the claim decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from dp_accounting import get_epsilon_gaussian
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fedrec.attacks.audit.one_run import Guesses, LowerBound, largest, level_of
from fedrec.privacy.accounting.curve import unsampled_mu
from fedrec.privacy.accounting.prices import Release, composed, epsilon, merge

DELTAS = tuple(np.logspace(-12, -0.02, 24).tolist())
"""Where the claim's curve is looked at, if it comes from no privacy-loss distribution."""

_EPSILONS = 501


class Curve(Protocol):
    """A trade-off curve."""

    def least(self, chance: float) -> float:
        """Return the least chance, on a neighbour's data, of an event that has `chance` on these: `(1 - f)^-1`."""


@dataclass(frozen=True)
class Gaussian:
    """The curve of telling N(0, 1) from N(mu, 1).

    Args:
        mu: From 0, which hides everything, to inf, which hides nothing.
    """

    mu: float

    def least(self, chance: float) -> float:
        """Return `Phi(Phi^-1(chance) - mu)`."""
        return 1.0 if chance >= 1 else float(ndtr(ndtri(chance) - self.mu))


@dataclass(frozen=True, eq=False)
class Points:
    """The lowest curve that is (epsilon, delta)-private at every one of some points.

    Args:
        epsilons: From 0, `[points]`; at least one.
        deltas: From 0, `[points]`.
    """

    epsilons: NDArray[np.float64]
    deltas: NDArray[np.float64]

    def least(self, chance: float) -> float:
        """Return the highest of what the points demand, each of the event and of its complement."""
        odds = np.exp(np.minimum(self.epsilons, 700.0))
        event, complement = (chance - self.deltas) / odds, 1 - self.deltas - odds * (1 - chance)
        return float(max(event.max(), complement.max(), 0.0))


def claimed_curve(releases: Iterable[Release]) -> Curve:
    """Return the curve that a composition is claimed to have: exact without sampling, else by the accountant.

    Between the points that the accountant is asked for, its convexity bounds the curve, which only favours the claim.
    """
    released = tuple(releases)
    if any(each.mechanism != "gaussian" or each.mixed for each in released):
        return Points(np.array([epsilon(released, delta).pld for delta in DELTAS]), np.array(DELTAS))
    kinds = merge(released)
    losses = composed(kinds) if any(kind.sampling_rate < 1 for kind in kinds) else None
    if losses is None:
        return Gaussian(unsampled_mu(kinds))
    epsilons = np.linspace(0.0, epsilon(kinds, DELTAS[0]).pld, _EPSILONS)
    return Points(epsilons, np.asarray(losses.get_delta_for_epsilon(epsilons)))


def refutes(curve: Curve, canaries: int, guesses: int, right: int, level: float) -> bool:
    """Return whether so many right guesses, or more, have a chance below `level` under the curve.

    Their algorithm for two options a coin, as they publish it: were the chance `level`, then the chances that a guess
    at random is right (`r`) or wrong (`h`) would have to add up to more than there are guesses.

    Args:
        curve: Of the mechanism.
        canaries: Number of fair coins, at least 1.
        guesses: How many were guessed; how many must not depend on the coins.
        right: How many guesses were right; none refutes nothing.
        level: Chance that a true curve is refuted, at most.
    """
    r, h = level * right / canaries, level * (guesses - right) / canaries
    for count in range(right - 1, -1, -1):
        rise = curve.least(min(r, 1.0)) - h
        if rise <= 0:
            break
        r, h = r + count / (guesses - count) * rise, h + rise
        if r + h > guesses / canaries:
            return True
    return r + h > guesses / canaries


def refuted_by(guessed: Guesses, curve: Curve, confidence: float = 0.95) -> bool:
    """Return whether any number of guesses refutes a curve; a true one is refuted with `1 - confidence` at most."""
    level = level_of(guessed, confidence)
    return any(refutes(curve, guessed.canaries, *count, level) for count in guessed.counts if count[0])


def gaussian_bound(guessed: Guesses, delta: float, confidence: float = 0.95) -> LowerBound:
    """Return the largest mu whose Gaussian curve is refuted, and its epsilon at `delta`; 0 if none is.

    Args:
        guessed: What was guessed; no canary proves nothing.
        delta: In (0, 1).
        confidence: Of the result.
    """
    level = level_of(guessed, confidence)

    def mu_of(guesses: int, right: int) -> float:
        return largest(lambda mu: refutes(Gaussian(mu), guessed.canaries, guesses, right, level)) if guesses else 0.0

    mu, guesses, right = max(((mu_of(*count), *count) for count in guessed.counts), key=lambda bound: bound[0])
    most = max(mu_of(*count) for count in guessed.all_right.counts)
    epsilons = [get_epsilon_gaussian(1 / each, delta) if each else 0.0 for each in (mu, most)]
    return LowerBound(epsilons[0], delta, confidence, guessed.canaries, guesses, right, epsilons[1], mu)
