"""The comparison of picking through noise with picking by exact losses."""

import numpy as np

from fedrec.core.seeding import rng_for
from fedrec.experiment.config import Experiment
from simulations.benchmarks.private_validation import picked, promising


def test_without_noise_the_best_round_is_picked_and_with_much_the_base_hardly_ever():
    losses = np.array([6.0, 5.5, 5.0, 5.2])
    assert set(picked(losses, 0.0, rng_for(0, "none"))) == {2}
    # the base has no noise, so it stays only if three draws are all above their round's gain: nearly 1 / 2^3
    kept = float(np.mean(picked(losses, 1e6, rng_for(0, "much")) == 0))
    assert abs(kept - 1 / 8) < 0.02


def test_only_the_promise_to_validation_users_is_another():
    changed = promising(Experiment(), 2.0, 0.5)
    assert (changed.evaluation.private.epsilon, changed.evaluation.private.change_bound) == (2.0, 0.5)
    assert changed.privacy == Experiment().privacy
