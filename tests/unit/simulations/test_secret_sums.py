"""The clients' side, played by a simulation: what they add up, and that it is what a trusted server would."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord

from clients.secure_update import added
from fedrec.core.seeding import rng_for
from fedrec.privacy.secagg.errors import TamperedError, TooFewClientsError
from fedrec.training.task import CohortUpdate, joined, nobody
from server.aggregation.secret_sum import decoded
from server.aggregation.update_sum import SumAggregator
from server.asking import ask
from server.base import to_record
from simulations.engine.secret_sums import Encode
from tests.unit.privacy.secagg.test_agreement import AGREED
from tests.unit.server.test_secret_sum import strategy_of

SEED = 11
BEFORE = {
    "b": np.array([[0.5], [-0.25]], dtype=np.float32),
    "a": np.linspace(-1, 1, 30, dtype=np.float32),
}
LENGTH = 32
MASKED, PLAIN = 1, 2
"""Rounds."""


def never(request, parameters, extras):
    raise NotImplementedError


def work(round_=MASKED, **changes):
    return Encode(never, replace(AGREED, **changes), round_, SEED)


def answers(clients, scale=0.1, failures=None):
    """Return what these clients answer, each moved by its own draw."""
    draws = [np.random.default_rng(client).normal(0, scale, LENGTH) for client in clients]
    rows = torch.tensor(np.array(draws), dtype=torch.float32).reshape(-1, LENGTH)
    parameters = {
        "a": rows[:, :30] + torch.from_numpy(BEFORE["a"]),
        "b": rows[:, 30:, None] + torch.from_numpy(BEFORE["b"]),
    }
    return CohortUpdate(clients, parameters, {}, [1.0] * len(clients), [None] * len(clients), failures or {})


def opened(does, clients, chunk=4, **how):
    chunks = [answers(clients[at : at + chunk], **how) for at in range(0, len(clients), chunk)]
    return does.open(range(10), [does.result(update, BEFORE) for update in chunks], BEFORE)


def flat(sums):
    return np.concatenate([np.ravel(sums[name]) for name in sorted(BEFORE)])


def noise_of(clients, round_=MASKED):
    """Return the sum of these clients' shares of the noise."""
    draws = [
        AGREED.code(0, LENGTH).grid.noise(LENGTH, rng_for(SEED, "share of noise", round_, client)) for client in clients
    ]
    return np.sum(draws, axis=0) * AGREED.code(0, LENGTH).grid.step


@pytest.mark.parametrize("round_", [MASKED, PLAIN])
@pytest.mark.parametrize("clients", [range(10), [0, 1, 2, 4, 5, 6, 7, 9]], ids=["everyone", "8 of 10"])
@pytest.mark.parametrize("scale", [0.01, 1.0], ids=["short", "clipped"])
def test_it_is_the_central_sum_with_the_same_noise_up_to_the_grid(round_, clients, scale):
    secret = opened(work(round_), list(clients), scale=scale)
    central = SumAggregator(np.inf, AGREED.clip_norm).add_cohort(BEFORE, answers(list(clients), scale))
    expected = flat(central.sums) + noise_of(clients, round_)
    # Each client may lose sqrt(m) / 2 steps of its length to the room for rounding, and as much to rounding.
    most = len(clients) * np.sqrt(LENGTH) * AGREED.code(0, LENGTH).grid.step
    assert np.linalg.norm(flat(decoded(secret, BEFORE, AGREED, round_).sums) - expected) <= most < 1e-5
    strategy = strategy_of()
    ask(strategy, round_, to_record(BEFORE), ConfigRecord(), None)
    after = strategy.aggregate_secret(round_, secret, AGREED)
    moved = flat({name: after[name].numpy() - value for name, value in BEFORE.items()})
    np.testing.assert_allclose(moved, expected / 10, rtol=0, atol=1e-6)


@pytest.mark.parametrize("law", [{}, {"noise": "skellam", "bits": 12}], ids=["gaussian", "skellam"])
def test_with_and_without_masks_the_sum_has_the_same_bits_however_it_is_cut(law):
    for clients in (list(range(10)), [9, 0, 1, 2, 3, 5, 6, 7]):
        masked, plain = (opened(work(masked_rounds=rounds, **law), clients) for rounds in (1, 0))
        np.testing.assert_array_equal(masked.vector, plain.vector)
        assert masked.survivors == plain.survivors == tuple(sorted(clients))
        np.testing.assert_array_equal(opened(work(**law), clients, chunk=3).vector, plain.vector)


def test_skellam_shares_of_few_bits_decode_to_the_central_sum_with_noise_of_the_charged_size():
    agreed = replace(AGREED, noise="skellam", bits=16)
    errors = []
    for round_ in range(1, 21):
        secret = opened(work(round_, noise="skellam", bits=16), list(range(10)), scale=0.01)
        central = SumAggregator(np.inf, AGREED.clip_norm).add_cohort(BEFORE, answers(list(range(10)), 0.01))
        errors.append(flat(decoded(secret, BEFORE, agreed, round_).sums) - flat(central.sums))
    # 7 honest clients make z C = 1, so all 10 make sqrt(10 / 7); of 640 draws the deviation is within 4 / sqrt(1280)
    assert np.std(errors) == pytest.approx(np.sqrt(10 / 7), rel=0.12)


@pytest.mark.parametrize("round_", [MASKED, PLAIN])
def test_below_the_threshold_nothing_is_opened(round_):
    opened(work(round_), list(range(8)))
    with pytest.raises(TooFewClientsError, match=r"7 of 10 clients sent a masked vector.*fewer than 8 is opened"):
        opened(work(round_), list(range(7)))
    with pytest.raises(TooFewClientsError, match="0 of 10 clients"):
        work(round_).open(range(10), [], BEFORE)


def test_a_cohort_of_another_size_than_agreed_is_no_round():
    for round_ in (MASKED, PLAIN):
        does = work(round_)
        with pytest.raises(TamperedError):
            does.open(range(11), [does.result(answers(list(range(11))), BEFORE)], BEFORE)


def test_noise_is_each_clients_own_by_name_and_of_its_share():
    many = replace(AGREED, cohort=1000, threshold=900, colluding=0)
    drawn = [
        many.code(0, 1000).grid.noise(1000, rng_for(SEED, "share of noise", 1, c)) * many.code(0, 1000).grid.step
        for c in range(20)
    ]
    # 20,000 draws: the sample deviation lies within 4 / sqrt(2 n) = 2 % but for 1 in 15,000 seeds
    assert np.std(drawn) == pytest.approx(many.noise_multiplier * many.clip_norm / 30, rel=0.02)
    assert (drawn[0] != drawn[1]).any()
    one, again, later, other = (
        Encode(never, replace(AGREED, masked_rounds=9), round_, seed).result(answers([3]), BEFORE).vectors
        for round_, seed in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    np.testing.assert_array_equal(one, again)
    assert (one != later).any()
    assert (one != other).any()


def test_a_change_that_is_not_finite_is_not_given_and_its_owner_drops_out():
    update = answers(list(range(10)), failures={})
    update.parameters["a"][4, 0] = torch.nan
    update.parameters["b"][7, 1] = torch.inf
    secret = work().open(range(10), [work().result(update, BEFORE)], BEFORE)
    assert secret.survivors == (0, 1, 2, 3, 5, 6, 8, 9)
    assert [(bad.client, bad.reason) for bad in secret.rejections] == [(4, "client failed"), (7, "client failed")]
    assert "not finite" in secret.rejections[0].detail


def test_clients_that_failed_in_training_are_named_and_dropped_out():
    does = work()
    parts = [does.result(answers(list(range(8))), BEFORE), does.failed(9, "its worker died", BEFORE)]
    secret = does.open(range(10), [does.join(parts)], BEFORE)
    assert [(bad.client, bad.detail) for bad in secret.rejections] == [(9, "its worker died")]
    assert secret.survivors == tuple(range(8))


def test_where_masks_are_left_out_a_worker_hands_over_one_row():
    part = work(PLAIN).result(joined([answers([1, 2, 3]), nobody({5: "why"})]), BEFORE)
    assert part.vectors.shape == (1, LENGTH)
    assert (list(part.clients), dict(part.failures)) == ([1, 2, 3], {5: "why"})
    each = work(MASKED).result(answers([1, 2, 3]), BEFORE)
    assert each.vectors.shape == (3, LENGTH)
    assert added(AGREED.terms(1, LENGTH), each.vectors[:0]).tolist() == [0] * LENGTH
