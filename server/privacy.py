"""The server's privacy bracket: the sum of clipped changes over the expected cohort, noised where it has no noise yet.

DP-FedAvg (McMahan et al. 2018): each user's whole change is clipped as it is added (`server.total.Adder`); with uniform
weights and a denominator fixed beforehand, the sum's sensitivity to one user is `clip_norm`. Trust `central` noises the
sum here; under `secure-aggregation` it comes with its clients' noise.
"""

from collections.abc import Mapping

import numpy as np

from fedrec.seeding import rng_for
from server.setting import Setting
from server.total import Total
from server.update import Array, Arrays


def fixed_mean(total: Total, shape: Mapping[str, Array], setting: Setting) -> Arrays:
    """Return a sum over the expected cohort, whoever is in it.

    Args:
        total: A sum that is private by itself.
        shape: The adapter, for names.
        setting: The denominator.
    """
    return {name: (total.sums[name] / setting.expected_cohort).astype(np.float32) for name in sorted(shape)}


def noisy_mean(
    total: Total,
    shape: Mapping[str, Array],
    setting: Setting,
    round: int,  # noqa: A002
) -> Arrays:
    """Return the noised sum of clipped changes over the expected cohort; of nobody's, the noise alone.

    Args:
        total: What an `Adder` with the plan's clip norm added up.
        shape: The adapter, for names and shapes.
        setting: Seed, plan and denominator.
        round: Number of the round, which names the noise; it is drawn in the order of the arrays' names.
    """
    rng = rng_for(setting.seed, "central noise", round)
    deviation = setting.plan.noise_multiplier * setting.plan.clip_norm
    noised = {}
    for name in sorted(shape):
        noise = rng.normal(0.0, deviation, shape[name].shape)
        noised[name] = ((total.sums.get(name, 0.0) + noise) / setting.expected_cohort).astype(np.float32)
    return noised
