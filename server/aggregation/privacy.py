"""The server's privacy mechanism: from a round's sum to the change that the strategy takes its step with.

DP-FedAvg (McMahan et al. 2018): each client's whole change is clipped as it is added
(`server.aggregation.update_sum.SumAggregator`); with uniform weights and a denominator fixed beforehand, the sum's
sensitivity to one client is the clip norm. Trust `central` noises the sum here, by independent or correlated noise;
under `secure-aggregation` it comes with its clients' noise.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting.banded import next_noise
from fedrec.privacy.accounting.filters import Filter
from fedrec.privacy.plan import AdaptiveClip, Trust
from server.aggregation.update import Array, Arrays, State
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.context import StrategyContext

Noise = dict[str, NDArray[np.float64]]


class Mechanism(Protocol):
    """What stands around a round's sum."""

    @property
    def filter(self) -> Filter | None:
        """What clients may still spend; None without filters."""

    @property
    def aggregator(self) -> SumAggregator:
        """How the round's changes are added."""

    def change(self, total: UpdateSum, shape: Mapping[str, Array], round: int) -> Arrays | None:
        """Return the aggregated change; None if nobody's answer weighs anything.

        Args:
            total: What the aggregator added up.
            shape: The adapter, for names and shapes.
            round: Number of the round, which names the noise.
        """

    def state(self) -> State:
        """Return what must survive a restart, by name."""

    def restore(self, state: State) -> None:
        """Take back what `state` returned."""


class Average:
    """The weighted mean, as it is: without privacy, or where each client's own change is private by itself."""

    filter = None

    def __init__(self, context: StrategyContext) -> None:
        self.aggregator = SumAggregator(context.max_update_norm, transforms=context.transforms)

    def change(self, total: UpdateSum, shape: Mapping[str, Array], round: int) -> Arrays | None:
        """Return the mean of whoever answered."""
        del shape, round
        return total.mean() if total.weight > 0 else None

    def state(self) -> State:
        """Return nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Take nothing back."""


class FixedMean(Average):
    """A sum that comes clipped and noised, over the expected cohort, whoever is in it."""

    def __init__(self, context: StrategyContext) -> None:
        super().__init__(context)
        self._cohort = context.expected_cohort

    def change(self, total: UpdateSum, shape: Mapping[str, Array], round: int) -> Arrays:
        """Return the sum over the expected cohort."""
        del round
        return {name: (total.sums[name] / self._cohort).astype(np.float32) for name in sorted(shape)}


class NoisyMean:
    """The sum of clipped changes, noised, over the expected cohort; of nobody's changes the noise alone.

    Args:
        context: Seed, plan and denominator.
    """

    def __init__(self, context: StrategyContext) -> None:
        plan = context.plan
        self._setting, self._clipping = context, plan.clipping
        self._earlier: list[Noise] = []
        self.clip_norm = plan.clip_norm
        """Of the round in hand."""
        self.filter = Filter.full(plan.clients, plan.rounds, plan.clip_norm) if plan.filtered else None

    @property
    def deviation(self) -> float:
        """Noise on each number of the round's sum, before it is correlated with that of earlier rounds."""
        plan = self._setting.plan
        return self.clip_norm * (plan.noise_multiplier if plan.clipping is None else plan.clipping.noise_multiplier)

    @property
    def aggregator(self) -> SumAggregator:
        """Clip to the round's norm, and to what each client may still spend."""
        return SumAggregator(clip_norm=self.clip_norm, filter=self.filter, transforms=self._setting.transforms)

    def change(self, total: UpdateSum, shape: Mapping[str, Array], round: int) -> Arrays:
        """Return the noised mean, the noise drawn in the order of the arrays' names."""
        rng = rng_for(self._setting.secret_seed, "central noise", round)
        noise: Noise = {}
        for name in sorted(shape):
            fresh = rng.normal(0.0, self.deviation, shape[name].shape)
            noise[name] = next_noise(fresh, [earlier[name] for earlier in self._earlier], self._setting.plan.factor)
        self._earlier = [noise, *self._earlier][: self._setting.plan.bands - 1]
        if self._clipping is not None:
            self.clip_norm = self._next_clip(self._clipping, total, round)
        if self.filter is not None:
            self.filter = self.filter.after(total.costs)
        cohort = self._setting.expected_cohort
        return {n: ((total.sums.get(n, 0.0) + added) / cohort).astype(np.float32) for n, added in noise.items()}

    def _next_clip(self, clipping: AdaptiveClip, total: UpdateSum, round: int) -> float:
        """Return the next round's clip norm from the noised share of changes that were no longer than this one's.

        A bit is 1/2 or -1/2, and 0 of whoever has no data, so that a client's data move their sum by 1/2 at most, as
        the plan prices it (Andrew et al. 2021, section 2.2 and theorem 1).
        """
        noise = rng_for(self._setting.secret_seed, "clipped share", round).normal(0.0, clipping.bit_deviation)
        share = (total.bits + noise) / self._setting.expected_cohort + 0.5
        return self.clip_norm * math.exp(-clipping.lr * (share - clipping.quantile))

    def state(self) -> State:
        """Return the clip norm if it adapts, the noise that later rounds take back, and what filters have left."""
        clip = {} if self._clipping is None else {"clip_norm": np.array(self.clip_norm)}
        noise = {f"noise/{age}/{n}": a for age, earlier in enumerate(self._earlier) for n, a in earlier.items()}
        left = {} if self.filter is None else {"left": self.filter.left}
        return {**clip, **noise, **left}

    def restore(self, state: State) -> None:
        """Take all of it back."""
        if self.filter is not None and "left" in state:  # there is none before the first round
            self.filter = replace(self.filter, left=state["left"])
        self.clip_norm = float(state.get("clip_norm", self._setting.plan.clip_norm))
        self._earlier = []
        for name in sorted((name for name in state if name.startswith("noise/")), key=_age):
            if _age(name) == len(self._earlier):
                self._earlier.append({})
            self._earlier[-1][name.split("/", 2)[2]] = state[name].astype(np.float64)


def _age(name: str) -> int:
    return int(name.split("/", 2)[1])


MECHANISMS: Mapping[Trust, type[Average | NoisyMean]] = {
    "none": Average,
    "local": Average,
    "secure-aggregation": FixedMean,
    "central": NoisyMean,
}
"""By whom clients trust."""
