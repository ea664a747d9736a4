"""The key of secret draws: whose they are, and what can be done by whoever knows them."""

import numpy as np
import pytest
import torch

from fedrec.core.errors import RunError
from fedrec.experiment.config import Experiment
from fedrec.privacy.noise_key import secret_seed, write_noise_key
from server.aggregation.privacy import NoisyMean
from server.aggregation.update_sum import SumAggregator
from tests.handmade import context, moved, plan, task
from tests.tiny import strategy_context, update


def experiment(**privacy):
    return Experiment.model_validate({"seed": 5, "privacy": {"epsilon": 8.0, **privacy}})


def test_without_privacy_nothing_is_secret_and_the_seed_says_it_all(tmp_path):
    assert secret_seed(Experiment(seed=5), tmp_path) == 5


def test_a_run_reads_the_key_that_it_wrote_and_the_seed_has_no_part_in_it(tmp_path):
    write_noise_key(tmp_path)
    first = secret_seed(experiment(), tmp_path)
    assert first == secret_seed(experiment().model_copy(update={"seed": 6}), tmp_path)
    write_noise_key(tmp_path)
    assert secret_seed(experiment(), tmp_path) != first


def test_a_fixed_key_needs_no_file_and_gives_each_seed_its_own_draws(tmp_path):
    fixed = experiment(noise_key=1)
    assert secret_seed(fixed, tmp_path) == secret_seed(experiment(noise_key=1, epsilon=4.0), tmp_path)
    assert secret_seed(fixed, tmp_path) != secret_seed(fixed.model_copy(update={"seed": 6}), tmp_path)
    assert secret_seed(fixed, tmp_path) != secret_seed(experiment(noise_key=2), tmp_path)


@pytest.mark.parametrize("content", [None, "", "no number"])
def test_a_lost_key_is_never_replaced_by_another(tmp_path, content):
    if content is not None:
        (tmp_path / "noise.key").write_text(content)
    with pytest.raises(RunError, match=r"noise\.key cannot be read .*start a new run"):
        secret_seed(experiment(), tmp_path)


def released(noise, key):
    """Return what a server releases of one client's change (0.5, -0.25) with this noise."""
    mechanism = NoisyMean(strategy_context(noise, central=True, secret_seed=key, expected_cohort=1.0))
    total = SumAggregator(np.inf, 1.0).add([update(0, 0.5, -0.25)])
    return mechanism.change(total, {"w": np.zeros(2, dtype=np.float32)}, 1)["w"].astype(np.float64)


def test_two_releases_that_share_their_noise_give_the_sum_away_and_those_with_keys_of_their_own_do_not():
    # The review's attack: noise z at two sizes is two equations in two unknowns, x = (z2 r1 - z1 r2) / (z2 - z1).
    def attack(first, second):
        return (4.0 * first - 2.0 * second) / (4.0 - 2.0)

    np.testing.assert_allclose(attack(released(2.0, 1), released(4.0, 1)), [0.5, -0.25], atol=1e-6)
    assert np.abs(attack(released(2.0, 1), released(4.0, 2)) - [0.5, -0.25]).max() > 0.1


def test_a_clients_noise_and_batches_follow_the_secret_seed_alone():
    from dataclasses import replace

    from fedrec.training.client import draw_batch, train_client

    private = context(privacy=plan("local", noise=1.0), training={"sampling_rate": 0.5})

    def noise(of):
        return moved(train_client(of, task(of)).parameters, of.shared_start)

    def batches(of):
        return [len(draw_batch(of, number, 0, of.examples(0), 0)) for number in range(30)]

    reseeded = replace(private, experiment=private.experiment.model_copy(update={"seed": 9}))
    rekeyed = replace(private, secret_seed=9)
    assert torch.equal(noise(private), noise(reseeded))
    assert not torch.equal(noise(private), noise(rekeyed))
    assert batches(private) == batches(reseeded) != batches(rekeyed)
