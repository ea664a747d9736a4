"""The server's privacy bracket (trust = central): clip each user's whole update, sum, add noise, divide.

DP-FedAvg (McMahan et al. 2018): uniform weights and a denominator fixed beforehand, so that the sum's sensitivity
to one user is `clip_norm`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedrec.privacy.plan import PrivacyPlan
from fedrec.seeding import rng_for
from server.update import Arrays, Update, norm_of


class Bracketed(Protocol):
    """The part of a strategy's setting that the bracket needs."""

    @property
    def seed(self) -> int:
        """Seed of the noise."""

    @property
    def expected_cohort(self) -> float:
        """Fixed denominator."""

    @property
    def plan(self) -> PrivacyPlan:
        """Clip norm and noise multiplier."""


def clip(delta: Arrays, clip_norm: float) -> Arrays:
    """Return `delta` scaled to an L2 norm of at most `clip_norm`; shorter ones are unchanged."""
    scale = min(1.0, clip_norm / max(norm_of(delta), np.finfo(np.float64).tiny))
    return {name: (array * scale).astype(array.dtype) for name, array in delta.items()}


def noisy_mean(
    updates: Sequence[Update], shape: Mapping[str, NDArray[np.float32]], setting: Bracketed, round: int  # noqa: A002
) -> Arrays:
    """Return the noised sum of clipped updates over the expected cohort; without updates, the noise alone.

    Args:
        updates: Accepted updates in the clients' order; their weights are ignored.
        shape: The adapter, for names and shapes.
        setting: Seed, plan and denominator.
        round: Number of the round, which names the noise.
    """
    clipped = [clip(update.delta, setting.plan.clip_norm) for update in updates]
    rng = rng_for(setting.seed, "central noise", round)
    deviation = setting.plan.noise_multiplier * setting.plan.clip_norm
    noised = {}
    for name, array in shape.items():
        total = np.zeros(array.shape, dtype=np.float64) + rng.normal(0.0, deviation, array.shape)
        for delta in clipped:
            total += delta[name]
        noised[name] = (total / setting.expected_cohort).astype(np.float32)
    return noised
