"""The server's privacy bracket (trust = central): clip each user's whole update, sum, add noise, divide.

DP-FedAvg (McMahan et al. 2018): uniform weights and a denominator fixed beforehand, so that the sum's sensitivity
to one user is `clip_norm`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fedrec.seeding import rng_for
from server.setting import Setting
from server.update import Array, Arrays, State, Update, norm_of


def clip(delta: Arrays, clip_norm: float) -> State:
    """Return `delta` in float64, scaled to an L2 norm of at most `clip_norm`; shorter ones are unchanged."""
    norm = norm_of(delta)
    scale = clip_norm / norm if norm > clip_norm else 1.0
    return {name: array.astype(np.float64) * scale for name, array in delta.items()}


def noisy_mean(
    updates: Sequence[Update],
    shape: Mapping[str, Array],
    setting: Setting,
    round: int,  # noqa: A002
) -> Arrays:
    """Return the noised sum of clipped updates over the expected cohort; without updates, the noise alone.

    Args:
        updates: Accepted updates in the clients' order; their weights are ignored.
        shape: The adapter, for names and shapes.
        setting: Seed, plan and denominator.
        round: Number of the round, which names the noise; it is drawn in the order of the arrays' names.
    """
    clipped = [clip(update.delta, setting.plan.clip_norm) for update in updates]
    rng = rng_for(setting.seed, "central noise", round)
    deviation = setting.plan.noise_multiplier * setting.plan.clip_norm
    noised = {}
    for name in sorted(shape):
        total = rng.normal(0.0, deviation, shape[name].shape)
        for delta in clipped:
            total += delta[name]
        noised[name] = (total / setting.expected_cohort).astype(np.float32)
    return noised
