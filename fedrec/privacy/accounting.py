"""What releases cost: events apart from their price, priced by privacy-loss distributions.

Adjacency is add/remove: a neighbour has one unit more or less. The claim is the PLD epsilon of dp-accounting with
the connect-the-dots discretisation (Doroshenko et al. 2022), an upper bound on any grid: a coarser grid only raises
it. The grid follows the finest kind of release, so that the claim stays within 3e-4 (relative) of a far finer grid's,
or 2 % for rates below 1e-3, and a further release of the same kind never lowers it. The RDP epsilon (Mironov 2017;
Mironov, Talwar and Zhang 2019) stands beside it as a check.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, rdp
from dp_accounting.pld import privacy_loss_distribution

from fedrec.errors import PrivacyError

MEANINGLESS_LOSS = 1000.0
"""Expected privacy loss above which the PLD would be huge and protects nobody: the claim is then the RDP bound."""

_FINEST_CELLS = 200_000
_TOLERANCE = 1e-3


What = Literal["updates", "updates and clipped share", "item counts"]
"""What leaves clients under privacy. What is released by the same coin is one release, whose parts have more noise."""


@dataclass(frozen=True, order=True)
class Release:
    """A sum of clipped contributions with Gaussian noise, released `count` times: a typed event, apart from its price.

    Args:
        noise_multiplier: Noise standard deviation over the clip norm; 0 is a release without protection.
        sampling_rate: Chance that a unit is in the sum, by its own secret coin (Poisson); 1 without amplification.
        count: How many such releases the unit's data went into; 0 costs nothing.
        mechanism: The noise's distribution.
        of: What is released; it has no influence on the price.

    Raises:
        PrivacyError: If a value is out of range.
    """

    noise_multiplier: float
    sampling_rate: float = 1.0
    count: int = 1
    mechanism: Literal["gaussian"] = "gaussian"
    of: What = "updates"

    def __post_init__(self) -> None:
        if not (0 <= self.noise_multiplier < math.inf and 0 <= self.sampling_rate <= 1 and self.count >= 0):
            message = f"a release needs noise >= 0 (finite), a rate in [0, 1] and a count >= 0, got {self}"
            raise PrivacyError(message)


@dataclass(frozen=True)
class Price:
    """Epsilon of a composition at one delta: the claim (`pld`) and its cross-check (`rdp`, a looser bound)."""

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
    kinds = merge(releases)
    if any(kind.noise_multiplier == 0 for kind in kinds):
        return Price(math.inf, math.inf)
    return Price(_pld_epsilon(kinds, delta), _rdp_epsilon(kinds, delta)) if kinds else Price(0.0, 0.0)


@lru_cache(maxsize=256)
def calibrate(
    target_epsilon: float, delta: float, sampling_rate: float, count: int, beside: tuple[Release, ...] = ()
) -> float:
    """Return the noise multiplier whose claim lies within `[target * (1 - 1e-3), target]`.

    Args:
        target_epsilon: PLD epsilon of all releases together; inf needs no noise (0).
        delta: Chance of failure, in (0, 1).
        sampling_rate: Poisson rate of a unit in each release; 1 without amplification.
        count: Number of releases, at least 1.
        beside: What else is released of the same unit, within the same target.

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
        kinds = merge([Release(noise_multiplier, sampling_rate, count), *beside])
        return _pld_epsilon(kinds, delta) if kinds else 0.0

    used = 1 - (1 - sampling_rate) ** count
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
    """Return the same composition, sorted, one release a kind; unsampled Gaussians become one (their sum, exactly).

    Releases that cost nothing (count or rate 0) are dropped.
    """
    counts: defaultdict[tuple[float, float], int] = defaultdict(int)
    for release in releases:
        counts[release.noise_multiplier, release.sampling_rate] += release.count
    live = {kind: count for kind, count in counts.items() if count and kind[1]}
    whole = {noise: count for (noise, rate), count in live.items() if rate == 1}
    merged = [Release(noise, rate, count) for (noise, rate), count in live.items() if rate < 1]
    if 0.0 in whole:
        merged.append(Release(0.0))
    elif whole:
        merged.append(Release(1 / math.sqrt(math.fsum(count / noise**2 for noise, count in whole.items()))))
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


@lru_cache(maxsize=4096)
def _pld_epsilon(kinds: tuple[Release, ...], delta: float) -> float:
    # The loss of one release has mean at most rate / (2 z^2), by convexity of the KL divergence.
    if sum(kind.count * kind.sampling_rate / (2 * kind.noise_multiplier**2) for kind in kinds) > MEANINGLESS_LOSS:
        return _rdp_epsilon(kinds, delta)
    interval = min(_interval(kind.noise_multiplier, kind.sampling_rate) for kind in kinds)
    parts = [_pld(kind.noise_multiplier, kind.sampling_rate, interval).self_compose(kind.count) for kind in kinds]
    return float(reduce(lambda left, right: left.compose(right), parts).get_epsilon_for_delta(delta))


def _interval(noise_multiplier: float, sampling_rate: float) -> float:
    """Return the grid's step: a twentieth of one release's spread of losses, at least its range / 200,000 cells."""
    precision = 1 / noise_multiplier
    spread = precision if sampling_rate == 1 else sampling_rate * math.sqrt(math.expm1(min(precision**2, 50.0)))
    return max(min(0.01, spread / 20), (precision**2 / 2 + 10 * precision) / _FINEST_CELLS)


@lru_cache(maxsize=8)
def _pld(noise_multiplier: float, sampling_rate: float, interval: float) -> Any:
    return privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier, value_discretization_interval=interval, sampling_prob=sampling_rate
    )


@lru_cache(maxsize=4096)
def _rdp_epsilon(kinds: tuple[Release, ...], delta: float) -> float:
    orders, _ = _rdp(kinds[0].noise_multiplier, kinds[0].sampling_rate)
    total = sum(kind.count * _rdp(kind.noise_multiplier, kind.sampling_rate)[1] for kind in kinds)
    return float(rdp.compute_epsilon(orders, total, delta)[0])


@lru_cache(maxsize=64)
def _rdp(noise_multiplier: float, sampling_rate: float) -> tuple[Any, Any]:
    """Return the orders and one release's Renyi divergence at each, which composition adds up."""
    accountant = rdp.RdpAccountant()
    event = GaussianDpEvent(noise_multiplier)
    absl = logging.getLogger("absl")
    absl.addFilter(_is_news)
    try:
        accountant.compose(event if sampling_rate == 1 else PoissonSampledDpEvent(sampling_rate, event))
    finally:
        absl.removeFilter(_is_news)
    return np.asarray(accountant.orders), np.asarray(accountant.rdp)


def _is_news(record: logging.LogRecord) -> bool:
    # An order whose series does not converge is left out, which can only loosen the check; one that rounding made
    # negative, by 1e-13, counts as 0.
    return not any(known in str(record.msg) for known in ("failed to converge", "Negative Renyi divergence"))
