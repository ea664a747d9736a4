"""What releases cost: events apart from their price, priced by privacy-loss distributions.

Each release is priced by a pair of distributions that dominates it. Let a neighbour have nothing of one unit
("zero-out"): whatever the others' coins, the unit moves the sum by at most one clip norm if its own coin says so, and
else not at all, so that with rate q the pair is (1 - q) N(0) + q N(1) against N(0), in both directions. This is also
dp-accounting's pair for add/remove, whose price therefore holds for zero-out: the two differ only in what is known
beside the sum. If a neighbour has other data ("replace-one"), the pair is (1 - q) N(0) + q N(1) against
(1 - q) N(0) + q N(-1). Proof, for any event of chance p under N(0): by the lemma of Neyman and Pearson a shift of
length 1 or less brings its chance to Phi(Phi^-1(p) + 1) at most and to Phi(Phi^-1(p) - 1) at least, and one half-line
of chance p reaches both bounds; so no event tells the neighbours apart better than a half-line tells the pair.
Dominating pairs compose (Zhu, Dong and Wang 2022, theorem 10).

The claim is the PLD epsilon of dp-accounting with the connect-the-dots discretisation (Doroshenko et al. 2022), an
upper bound on any grid: a coarser grid only raises it. The grid follows the finest kind of release, so that the claim
stays within 3e-4 (relative) of a far finer grid's, or 2 % for rates below 1e-3, and a further release of the same kind
never lowers it. The RDP epsilon (Mironov 2017; Mironov, Talwar and Zhang 2019) stands beside it as a check. Noise for
which no dominating pair is known (Skellam) is claimed by RDP alone, and with it whatever is composed with it.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent, rdp
from dp_accounting.pld import privacy_loss_distribution
from numpy.typing import NDArray

from fedrec.core.errors import PrivacyError
from fedrec.experiment.privacy import Adjacency
from fedrec.privacy.accounting import allocation, replacement, shuffling
from fedrec.privacy.accounting.skellam import renyi_of_skellam

MEANINGLESS_LOSS = 1000.0
"""Expected privacy loss above which the PLD would be huge and protects nobody: the claim is then the RDP bound."""

FloatArray = NDArray[np.float64]

_FINEST_CELLS = 200_000
_TOLERANCE = 1e-3

ORDERS: FloatArray = np.asarray(rdp.RdpAccountant().orders)
"""Orders at which Renyi divergences are known, all above 1."""


Mechanism = Literal["gaussian", "skellam"]
"""Noise on real numbers, or on the integers of `fedrec.privacy.secagg.integers`, whose price knows no sampling."""

What = Literal["updates", "updates and clipped share", "item counts", "validation scores"]
"""What leaves clients, or is published of validation users, under privacy. What is released by the same coin is one
release, whose parts have more noise."""

Draw = Literal["poisson", "without-replacement", "balls-in-bins"]
"""How it is drawn, in secret, what a unit's data goes into (see `replacement` and `allocation` in this package)."""


@dataclass(frozen=True, order=True)
class Release:
    """A sum of clipped contributions with noise, released `count` times: a typed event, apart from its price.

    Args:
        noise_multiplier: Noise standard deviation over the clip norm; 0 is a release without protection.
        sampling_rate: Chance that a unit is in the sum, by a secret draw; 1 without amplification.
        count: How many such releases the unit's data went into, epochs of 1 / rate sums for balls in bins; 0 costs
            nothing.
        mechanism: The noise's distribution.
        of: What is released; it has no influence on the price.
        adjacency: What a neighbour has of the unit; "add-remove" costs what "zero-out" does.
        draw: How the unit is drawn: by its own coin for each sum (Poisson), with a public number of others (without
            replacement), or for one sum of each epoch (balls in bins). The latter two have a price for "zero-out" only.
        mixed: Fewest messages among which a trusted shuffler hides that of the unit's client, its own included; 0
            without a shuffler. Price: the lower of two, see `fedrec.privacy.accounting.shuffling`.

    Raises:
        PrivacyError: If a value is out of range, or no price is known.
    """

    noise_multiplier: float
    sampling_rate: float = 1.0
    count: int = 1
    mechanism: Mechanism = "gaussian"
    of: What = "updates"
    adjacency: Adjacency = "zero-out"
    draw: Draw = "poisson"
    mixed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.noise_multiplier < math.inf and 0 <= self.sampling_rate <= 1 and self.count >= 0):
            message = f"a release needs noise >= 0 (finite), a rate in [0, 1] and a count >= 0, got {self}"
            raise PrivacyError(message)
        rate, poisson = self.sampling_rate, self.draw == "poisson"
        if self.draw == "balls-in-bins" and not (rate and rate == 1 / allocation.bins_of(rate)):
            message = f"balls in bins need a rate of 1 over a whole number, got {self}"
            raise PrivacyError(message)
        if not poisson and self.adjacency != "zero-out" and rate < 1:
            message = f"only a unit that stays in the draw without data has a known price, got {self}; use zero-out"
            raise PrivacyError(message)
        if self.mechanism == "skellam" and (rate not in {0, 1} or self.mixed):
            message = f"Skellam noise has a price without sampling and shuffler only, got {self}; claim neither"
            raise PrivacyError(message)

    @property
    def uses(self) -> float:
        """Expected number of sums that the unit's data is in."""
        return self.count * (1.0 if self.draw == "balls-in-bins" else self.sampling_rate)

    @property
    def distance(self) -> float:
        """Most that the contributions of neighbours lie apart, in deviations of the noise; inf without noise."""
        apart = 2 if self.adjacency == "replace-one" else 1
        return apart / self.noise_multiplier if self.noise_multiplier else math.inf


@dataclass(frozen=True)
class Price:
    """Epsilon of a composition at one delta: the claim (`pld`) and its cross-check (`rdp`, a looser bound).

    Both are the RDP epsilon where a release has no PLD, or one so large that it protects nobody.
    """

    pld: float
    rdp: float


def epsilon(releases: Iterable[Release], delta: float) -> Price:
    """Return the epsilon of all `releases` together, in any order (non-adaptive or adaptive alike).

    Args:
        releases: What a unit's data went into; none cost 0, and any without noise costs inf.
        delta: Chance of failure, in (0, 1). Below about 1e-13 the claim may be inf (tails are cut pessimistically).

    Raises:
        PrivacyError: If `delta` is out of range.
    """
    if not 0 < delta < 1:
        message = f"delta must lie between 0 and 1, got {delta}; set privacy.delta"
        raise PrivacyError(message)
    releases = tuple(releases)
    kinds = merge(releases)
    if any(kind.noise_multiplier == 0 for kind in kinds):
        return Price(math.inf, math.inf)
    if not kinds:
        return Price(0.0, 0.0)
    return Price(min(_pld_epsilon(kinds, delta), _shuffled(releases, delta)), _rdp_epsilon(kinds, delta))


@lru_cache(maxsize=256)
def calibrate(  # noqa: PLR0913 - what a release is, and what it may cost
    target_epsilon: float,
    delta: float,
    sampling_rate: float,
    count: int,
    beside: tuple[Release, ...] = (),
    *,
    adjacency: Adjacency = "zero-out",
    draw: Draw = "poisson",
    mechanism: Mechanism = "gaussian",
) -> float:
    """Return the noise multiplier whose claim lies within `[target * (1 - 1e-3), target]`.

    Args:
        target_epsilon: Claimed epsilon of all releases together; inf needs no noise (0).
        delta: Chance of failure, in (0, 1).
        sampling_rate: Chance of a unit to be in each sum; 1 without amplification.
        count: Number of releases, at least 1.
        beside: What else is released of the same unit, within the same target.
        adjacency: What a neighbour has of the unit.
        draw: How the unit is drawn.
        mechanism: The noise's distribution.

    Raises:
        PrivacyError: If there is nothing to calibrate, or no noise meets the target that closely (targets in the
            hundreds, or units used with a chance below delta).
    """
    if math.isinf(target_epsilon) and target_epsilon > 0:
        return 0.0
    if count < 1 or not target_epsilon > 0:
        message = f"cannot calibrate epsilon {target_epsilon} over {count} releases: both must be positive"
        raise PrivacyError(message)

    def claim(noise_multiplier: float) -> float:
        release = Release(noise_multiplier, sampling_rate, count, mechanism, adjacency=adjacency, draw=draw)
        kinds = merge([release, *beside])
        return _pld_epsilon(kinds, delta) if kinds else 0.0

    used = 1.0 if draw == "balls-in-bins" else 1 - (1 - sampling_rate) ** count
    # A unit used with a chance of at most delta is protected by any noise, even none: there is nothing to find.
    if used > delta and (bracket := _bracket(claim, target_epsilon)) is not None:
        low, high = bracket
        for _ in range(60):
            # `high` meets the target from the start, where it may be the only noise found that does.
            if claim(high) >= target_epsilon * (1 - _TOLERANCE):
                return high
            middle = math.sqrt(low * high)
            low, high = (middle, high) if claim(middle) > target_epsilon else (low, middle)
    message = (
        f"no noise gives epsilon {target_epsilon} at delta {delta} over {count} releases with rate {sampling_rate}; "
        f"choose an epsilon between 0.01 and 100, or set privacy.noise_multiplier"
    )
    raise PrivacyError(message)


def merge(releases: Iterable[Release]) -> tuple[Release, ...]:
    """Return a composition of the same price, sorted, one release a kind.

    Unsampled Gaussians become one (their sum, exactly), replaced ones first one of half the noise. Releases that cost
    nothing (count or rate 0) are dropped. What a shuffler mixes stands as if it did not.
    """
    counts: defaultdict[Release, int] = defaultdict(int)
    for release in releases:
        noise, rate, replaced = release.noise_multiplier, release.sampling_rate, release.adjacency == "replace-one"
        if replaced and rate == 1:
            noise, replaced = noise / 2, False
        neighbour: Adjacency = "replace-one" if replaced else "zero-out"
        kind = Release(noise, rate, mechanism=release.mechanism, adjacency=neighbour, draw=release.draw)
        counts[kind] += release.count
    live = {kind: count for kind, count in counts.items() if count and kind.sampling_rate}
    whole = {kind: count for kind, count in live.items() if kind.sampling_rate == 1 and kind.mechanism == "gaussian"}
    merged = [replace(kind, count=count) for kind, count in live.items() if kind not in whole]
    if any(kind.noise_multiplier == 0 for kind in whole):
        merged.append(Release(0.0))
    elif whole:
        merged.append(
            Release(1 / math.sqrt(math.fsum(count / kind.noise_multiplier**2 for kind, count in whole.items())))
        )
    return tuple(sorted(merged))


def _bracket(claim: Callable[[float], float], target: float) -> tuple[float, float] | None:
    """Return noise multipliers a factor 2 apart with `claim(low) > target >= claim(high)`, or None."""
    low, high = 0.5, 1.0
    while claim(high) > target:
        low, high = high, 2 * high
        if high > 2**20:
            return None
    while claim(low) <= target:
        low, high = low / 2, low
        if low < 2**-8:
            return None
    return low, high


def _shuffled(releases: Iterable[Release], delta: float) -> float:
    """Return what a shuffler makes of the releases: of one kind, a message a round each; inf otherwise."""
    counts: defaultdict[Release, int] = defaultdict(int)
    for release in releases:
        counts[replace(release, count=1)] += release.count
    (kind, count), *others = counts.items()
    if not kind.mixed or others:
        return math.inf
    rounds = shuffling.Shuffled(kind.mixed, count, delta, replace=kind.adjacency == "replace-one")
    return shuffling.epsilon(kind.noise_multiplier, rounds)


@lru_cache(maxsize=4096)
def _pld_epsilon(kinds: tuple[Release, ...], delta: float) -> float:
    losses = composed(kinds)
    return _rdp_epsilon(kinds, delta) if losses is None else float(losses.get_epsilon_for_delta(delta))


@lru_cache(maxsize=8)
def composed(kinds: tuple[Release, ...]) -> Any:
    """Return dp-accounting's privacy-loss distribution of merged releases with noise; None for none, or a huge one."""
    if any(kind.mechanism != "gaussian" for kind in kinds):
        return None
    # The losses of one kind have mean at most uses * distance^2 / 2, by convexity of the KL divergence.
    if sum(kind.uses * kind.distance**2 / 2 for kind in kinds) > MEANINGLESS_LOSS:
        return None
    interval = min(_interval(1 / kind.distance, kind.sampling_rate) for kind in kinds)
    parts = [_pld(replace(kind, count=1), interval).self_compose(kind.count) for kind in kinds]
    return reduce(lambda left, right: left.compose(right), parts)


def _interval(noise_multiplier: float, sampling_rate: float) -> float:
    """Return the grid's step: a twentieth of one release's spread of losses, at least its range / 200,000 cells."""
    precision = 1 / noise_multiplier
    spread = precision if sampling_rate == 1 else sampling_rate * math.sqrt(math.expm1(min(precision**2, 50.0)))
    return max(min(0.01, spread / 20), (precision**2 / 2 + 10 * precision) / _FINEST_CELLS)


@lru_cache(maxsize=8)
def _pld(kind: Release, interval: float) -> Any:
    if kind.draw in _PLD:
        return _PLD[kind.draw](kind.noise_multiplier, kind.sampling_rate, interval)
    relation = NeighboringRelation
    return privacy_loss_distribution.from_gaussian_mechanism(
        kind.noise_multiplier,
        value_discretization_interval=interval,
        sampling_prob=kind.sampling_rate,
        neighboring_relation=relation.REPLACE_ONE if kind.adjacency == "replace-one" else relation.ADD_OR_REMOVE_ONE,
    )


@lru_cache(maxsize=4096)
def _rdp_epsilon(kinds: tuple[Release, ...], delta: float) -> float:
    return float(rdp.compute_epsilon(ORDERS, divergences(kinds), delta)[0])


def divergences(releases: Iterable[Release]) -> FloatArray:
    """Return the Renyi divergence of all `releases` together at each of `ORDERS`; inf without noise."""
    return sum((kind.count * _rdp(replace(kind, count=1)) for kind in merge(releases)), np.zeros(len(ORDERS)))


@lru_cache(maxsize=64)
def _rdp(kind: Release) -> FloatArray:
    """Return one release's Renyi divergence at each order, which composition adds up.

    A replaced unit is one zeroed out and another put in: two steps, by the weak triangle inequality (Mironov 2017,
    proposition 11, with p = q = 2).
    """
    if kind.adjacency != "replace-one":
        return _renyi(kind, ORDERS)
    there, back = _renyi(kind, 2 * ORDERS), _renyi(kind, 2 * ORDERS - 1)
    return (ORDERS - 0.5) / (ORDERS - 1) * there + back


def _renyi(kind: Release, orders: FloatArray) -> FloatArray:
    if kind.mechanism == "skellam":
        return renyi_of_skellam(orders, kind.noise_multiplier)
    if kind.draw in _RENYI:
        return _RENYI[kind.draw](kind.noise_multiplier, kind.sampling_rate, orders)
    accountant = rdp.RdpAccountant(orders)
    event = GaussianDpEvent(kind.noise_multiplier)
    absl = logging.getLogger("absl")
    absl.addFilter(_is_news)
    try:
        accountant.compose(event if kind.sampling_rate == 1 else PoissonSampledDpEvent(kind.sampling_rate, event))
    finally:
        absl.removeFilter(_is_news)
    return np.asarray(accountant.rdp)


_PLD: dict[Draw, Callable[[float, float, float], Any]] = {
    "without-replacement": replacement.pld,
    "balls-in-bins": allocation.pld,
}
"""Of draws that dp-accounting does not know, by noise multiplier, rate and interval."""
_RENYI: dict[Draw, Callable[[float, float, FloatArray], FloatArray]] = {
    "without-replacement": replacement.renyi,
    "balls-in-bins": allocation.renyi,
}
"""By noise multiplier, rate and orders."""


def _is_news(record: logging.LogRecord) -> bool:
    # An order whose series does not converge is left out, which can only loosen the check; one that rounding made
    # negative, by 1e-13, counts as 0.
    return not any(known in str(record.msg) for known in ("failed to converge", "Negative Renyi divergence"))
