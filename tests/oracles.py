"""What a claim has to be, computed without the code that makes it: from the experiment, and from what noise is added.

Gaussian releases, sampled by coins or not, are priced by dp-accounting's own events and accountant on a finer grid.
Other draws have no event there that is exact: their pairs of distributions are written down and composed by number
(`tests.losses`), and where dp-accounting has a looser bound, the claim must not exceed that either.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, SampledWithoutReplacementDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from dp_accounting.rdp import rdp_privacy_accountant as rdp
from scipy.optimize import brentq
from scipy.special import ive, logsumexp
from scipy.stats import binom, norm

from fedrec.experiment.config import Sampling
from tests.losses import Pair, epsilon_of, gaussian, normals

RELATIONS = {
    "zero-out": NeighboringRelation.REPLACE_SPECIAL,
    "add-remove": NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace-one": NeighboringRelation.REPLACE_ONE,
}
"""By adjacency, as dp-accounting names it."""

NEARLY = 1 - 1e-4
"""What rounding may cost; claims may be 1 % too large, and never smaller than this of the truth."""


@dataclass(frozen=True)
class Exposure:
    """What the most exposed unit's data goes into.

    Attributes:
        noise: Deviation of the noise on a sum over the clip norm, all that moves together in one.
        rounds: Of the run.
        asked: Rounds in which the unit's client was asked; what counts where cohorts are no secret.
        share: Of the clients in a round, as drawn.
        adjacency: What a neighbour has of the unit.
        delta: What noise may fail by.
        counts: The same as `noise` for item counts; None where there are none.
        bands: Every so many rounds a client may be asked.
        columns: Squared norm of the correlated noise's factor over the unit's rounds; `asked` without correlation.
    """

    noise: float
    rounds: int
    asked: int
    share: float
    adjacency: str
    delta: float
    counts: float | None = None
    bands: int = 1
    columns: float = math.nan


@dataclass(frozen=True)
class Allowed:
    """Between which values a claim may lie: `least` is proved to be spent, `most` what a proof allows to claim."""

    least: float
    most: float


def exactly(epsilon: float) -> Allowed:
    """Return what is allowed where the exact value is known."""
    return Allowed(epsilon * NEARLY, epsilon * 1.01)


@lru_cache
def released(of: Exposure, rate: float, count: float, noise: float | None = None) -> float:
    """Return dp-accounting's epsilon of Gaussian sums, each with a coin of `rate`, and of the item counts beside.

    Its grid is three times finer than ours at the least.
    """
    accountant = PLDAccountant(RELATIONS[of.adjacency], value_discretization_interval=1e-3)
    event = GaussianDpEvent(of.noise if noise is None else noise)
    accountant.compose(event if rate == 1 else PoissonSampledDpEvent(rate, event), count)
    if of.counts is not None:
        accountant.compose(GaussianDpEvent(of.counts))
    return float(accountant.get_epsilon(of.delta))


def fixed(of: Exposure) -> Allowed:
    """Cohorts that are no secret: as many Gaussians as rounds in which the unit was asked.

    With correlated noise all of them are one Gaussian, of the factor's columns, which are b or more rounds apart and
    have norm 1, but for the last b - 1.
    """
    exact = released(of, 1, of.asked)
    if of.bands == 1:
        return exactly(exact)
    return Allowed(released(of, 1, 1, of.noise / math.sqrt(of.columns)) * NEARLY, exact * 1.01)


def poisson(of: Exposure) -> Allowed:
    """Coins of every round; with correlated noise of every b-th, b times as high (Choquette-Choo et al. 2023)."""
    rate = of.share * of.bands
    return exactly(released(of, 1.0 if math.isclose(rate, 1) else rate, math.ceil(of.rounds / of.bands)))


@lru_cache
def without_replacement(of: Exposure) -> Allowed:
    """Cohorts of a fixed size, in secret.

    Others who all contribute the opposite of the unit attain (1 - q) N(0) + q N(2) against (1 - q) N(0) + q N(1), and
    others who all contribute the same N(0) against (1 - q) N(0) + q N(1): that is spent for sure. Both populations
    cannot be there at once; what is worse of them at each loss makes the pair that bounds all, and is claimed.
    dp-accounting's own bound, by Renyi divergences and for two clip norms, is looser.
    """
    rate = of.share
    none, one, two = normals(of.noise, 0.0, 1.0, 2.0)
    opposite, same = (
        ((1 - rate) * none + rate * two, (1 - rate) * none + rate * one),
        (none, none + rate * (one - none)),
    )
    gains, losses = opposite[0] > opposite[1], same[0] < same[1]
    present, absent = (np.concatenate([opposite[side][gains], same[side][losses]]) for side in (0, 1))
    worst = Pair(np.append(present, 1 - present.sum()), np.append(absent, 1 - absent.sum()), of.rounds)
    beside = _beside(of)
    attained = max(epsilon_of([Pair(*pair, of.rounds), *beside], of.delta) for pair in (opposite, same))
    accountant = RdpAccountant(neighboring_relation=NeighboringRelation.REPLACE_ONE)
    fine = 10**6
    accountant.compose(
        SampledWithoutReplacementDpEvent(fine, math.ceil(rate * fine), GaussianDpEvent(of.noise / 2)), of.rounds
    )
    if of.counts is not None:
        accountant.compose(GaussianDpEvent(of.counts / 2))
    looser = float(accountant.get_epsilon(of.delta))
    return Allowed(attained * NEARLY, min(epsilon_of([worst, *beside], of.delta) * 1.01, looser))


@lru_cache
def balls_in_bins(of: Exposure) -> Allowed:
    """One round of each epoch, drawn in secret: mean_i N(e_i) against N(0), over all cells of a cube of rounds.

    The cells are a fifth of a deviation wide, where sums over a normal density have an error of exp(-2 pi^2 25).
    """
    bins = round(1 / of.share)
    places = np.arange(-8 * of.noise, 8 * of.noise + 1, of.noise / 5)
    masses, ratios = norm.pdf(places, scale=of.noise) * of.noise / 5, np.exp((places - 0.5) / of.noise**2)
    absent, ratio = np.ones(1), np.zeros(1)
    for _ in range(bins):
        absent, ratio = np.multiply.outer(absent, masses).ravel(), np.add.outer(ratio, ratios).ravel()
    return exactly(
        epsilon_of([Pair(absent * ratio / bins, absent, math.ceil(of.rounds / bins)), *_beside(of)], of.delta)
    )


CENTRAL: Mapping[Sampling, Callable[[Exposure], Allowed]] = {
    "fixed": fixed,
    "poisson": poisson,
    "without-replacement": without_replacement,
    "balls-in-bins": balls_in_bins,
}
"""By `federation.sampling`, where a trusted server keeps cohorts to itself."""


@lru_cache
def skellam(of: Exposure, resolution: int = 16) -> Allowed:
    """Noise on integers, the clip norm being 16 steps, the coarsest grid that is allowed.

    Spent for sure is what one number shows that moves by the whole norm, and for other data (replace-one) by twice
    that. Claimed is a bound by Renyi divergences; within 1 % of it is the same bound with the divergences of whole
    vectors, added up number by number instead of taken from Agarwal, Kairouz and Liu's corollary 4.1.
    """
    apart = 2 if of.adjacency == "replace-one" else 1
    variance = (resolution * of.noise) ** 2
    values = np.arange(-resolution * 4 - int(12 * math.sqrt(variance)), resolution * 4 + int(12 * math.sqrt(variance)))
    moved, still = (ive(np.abs(values - shift), variance) for shift in (resolution * apart, 0))
    attained = epsilon_of([Pair(moved, still, of.asked)], of.delta)
    orders = np.arange(2.0, 65.0)
    shapes = ((1, resolution * apart), (4, resolution * apart // 2), ((resolution * apart) ** 2, 1))
    curves = [numbers * _renyi_of_skellam(orders, shift, variance) for numbers, shift in shapes]
    bound = float(rdp.compute_epsilon(orders, of.asked * np.max(curves, axis=0), of.delta)[0])
    return Allowed(attained, bound * 1.01)


def _renyi_of_skellam(orders: np.ndarray, shift: int, variance: float) -> np.ndarray:
    reach = int(shift * orders[-1] + 12 * math.sqrt(variance) + 10)
    values = np.arange(-reach, reach + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        there, back = (np.log(ive(np.abs(values - moved), variance)) for moved in (shift, 0))
    seen = np.isfinite(there) & np.isfinite(back)
    return np.array([logsumexp(a * there[seen] - (a - 1) * back[seen]) / (a - 1) for a in orders])


@lru_cache
def shuffled(of: Exposure, messages: int) -> Allowed:
    """Messages that hide each other: Feldman, McMillan and Talwar 2021, with 1 % and 10 % of delta put aside.

    Spent for sure is what the messages' sum shows, a Gaussian of sqrt(n) times the noise. Claimed is at most what the
    messages cost unshuffled, and at most what the clones' proof allows.
    """
    apart = 2 if of.adjacency == "replace-one" else 1
    spent = released(of, 1, of.rounds, of.noise * math.sqrt(messages))
    return Allowed(spent * NEARLY, min(released(of, 1, of.rounds), _clones(of, messages, apart)) * 1.01)


def _clones(of: Exposure, messages: int, apart: int) -> float:
    """Return the epsilon at which the proof's parts of delta add up to it: more of it leaves the clones less."""
    found, before = 0.1, 0.0
    while abs(found - before) > 1e-4 * found:
        before, found = found, _clones_alone(of, messages, apart, found)
    return found


def _clones_alone(of: Exposure, messages: int, apart: int, epsilon: float) -> float:
    """Return what the clones of a unit cost where messages that are not purely private may cost as much as `epsilon`.

    Each is (epsilon0, delta0)-private; they take (exp(epsilon) + 1) (1 + exp(-epsilon0) / 2) n delta0 off a round's
    delta.
    """
    impure = 0.1 * of.delta / (of.rounds * messages * (math.exp(epsilon) + 1) * 1.5)
    half, spread = apart / of.noise / 2, of.noise / apart

    def lost(pure: float) -> float:
        return float(norm.cdf(half - pure * spread) - math.exp(pure + norm.logcdf(-half - pure * spread)) - impure)

    pure = float(brentq(lost, 0.0, 50.0, xtol=1e-12))
    clones = int(binom.ppf(0.01 * of.delta / of.rounds, messages - 1, math.exp(-pure)))
    favoured = math.exp(pure) / (1 + math.exp(pure))
    shown = 0.5 if apart == 2 else 1 - favoured
    others = np.append(binom.pmf(np.arange(clones + 1), clones, shown), 0.0)
    one_more = np.roll(others, 1)
    present, absent = (share * one_more + (1 - share) * others for share in (favoured, 1 - favoured))
    return epsilon_of([Pair(present, absent, of.rounds)], 0.89 * of.delta)


def _beside(of: Exposure) -> list[Pair]:
    return [] if of.counts is None else [gaussian(of.counts)]
