"""Item counts before the first round: what a client tells, how it is shortened, what it costs and becomes."""

import math

import numpy as np
import pytest

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.evaluation.result.popularity import popularity
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.statement.statement import statement
from fedrec.training.item_counts import item_counts, shortened
from tests.handmade import context

UNITS = UnitCounts(users=660, examples=60_000, clients=660)


def experiment(epsilon_=8.0, share=0.1, adapter=None, **privacy):
    counts = {"share": share, "clip_norm": 8.0}
    return Experiment.model_validate(
        {
            "privacy": {"trust": "central", "epsilon": epsilon_, "item_counts": counts, **privacy},
            "federation": {"partition": "users", "sampling": "poisson", "participation": 0.5},
            "adapter": adapter or {},
        }
    )


def test_a_user_counts_once_an_item_and_users_of_a_client_add_up():
    made = context(sequences=[[1, 2, 2, 1], [2, 3], [0, 0]], clients=[[0, 1], [2]])
    counts = item_counts(made, 0)
    assert counts[:4].tolist() == [0, 1, 2, 1]
    assert counts[4:].sum() == 0
    assert item_counts(made, 1)[:2].tolist() == [1, 0]


def test_long_vectors_are_shortened_to_the_bound_and_short_ones_left():
    # (3, 4) has norm 5: times 2 / 5
    np.testing.assert_allclose(shortened(np.array([3, 4], dtype=np.float32), 2.0), [1.2, 1.6])
    np.testing.assert_array_equal(shortened(np.array([0, 1], dtype=np.float32), 2.0), [0, 1])
    np.testing.assert_array_equal(shortened(np.zeros(2, dtype=np.float32), 2.0), [0, 0])


def test_popularity_is_the_centred_logarithm_and_noise_below_zero_is_no_count():
    # with noise of deviation 1, log(6 + 2) = log 8 and log(0 + 2) twice: mean (3 + 1 + 1) / 3 log 2
    found = popularity(np.array([6.0, 0.0, -5.0]), 1.0)
    np.testing.assert_allclose(found, np.array([4 / 3, -2 / 3, -2 / 3]) * math.log(2))
    # without noise one is added: log(3 + 1), log(0 + 1) twice
    np.testing.assert_allclose(popularity(np.array([3.0, 0.0, 0.0]), 0.0), np.array([4, -2, -2]) / 3 * math.log(2))


def test_counts_and_rounds_together_cost_epsilon():
    planned = plan(experiment(), UNITS, participations=1)
    counts = planned.counts.release
    assert epsilon([counts], planned.delta).pld == pytest.approx(0.8, rel=1e-3)
    rounds = Release(planned.noise_multiplier, 0.5, 30)
    assert 8 * (1 - 1e-3) <= epsilon([counts, rounds], planned.delta).pld <= 8
    alone = plan(experiment(share=0.0), UNITS, participations=1)
    assert planned.noise_multiplier > alone.noise_multiplier


def test_everyone_pays_for_the_counts_before_the_first_round():
    planned = plan(experiment(), UNITS, participations=1)
    opened = planned.charge(Ledger(), 0, ())
    assert opened == Ledger().charge(0, [None], planned.counts.release)
    assert opened.epsilon(planned.delta, 660).worst.pld == pytest.approx(0.8, rel=1e-3)
    said = statement(planned, planned.charge(opened, 1, [4]))
    assert "Composed are 2 releases" in said.text
    assert {(release["of"], release["count"]) for release in said.summary["releases"]} == {
        ("item counts", 1),
        ("updates", 1),
    }
    assert "1 rounds x 1 a round, and once for item counts" in said.text
    assert "its parameters, the constant weight 1 and its item counts" in said.text
    assert said.summary["item_counts"] == {
        "noise_multiplier": planned.counts.release.noise_multiplier,
        "clip_norm": 8.0,
    }


def test_without_counts_there_is_nothing_before_the_first_round():
    planned = plan(experiment(share=0.0), UNITS, participations=1)
    assert planned.charge(Ledger(), 0, ()) == Ledger()


def test_without_privacy_the_counts_are_asked_for_as_they_are():
    planned = plan(experiment(math.inf), UNITS, participations=1)
    assert (planned.trust, planned.counts.release.noise_multiplier) == ("none", 0.0)
    assert planned.charge(Ledger(), 0, ()) == Ledger()


@pytest.mark.parametrize("adapter", [{"item_bias": False}, {"private": ("item_bias*",)}])
@pytest.mark.parametrize("epsilon_", [8.0, math.inf])
def test_counts_need_a_bias_that_travels(adapter, epsilon_):
    with pytest.raises(ConfigError, match=r"adapter\.item_bias=true"):
        check(experiment(epsilon_, adapter=adapter), linear_strategy=True)


def test_a_share_needs_an_epsilon_and_a_server():
    with pytest.raises(PrivacyError, match=r"is a share of privacy\.epsilon"):
        check(experiment(math.inf, noise_multiplier=1.0), linear_strategy=True)
    with pytest.raises(PrivacyError, match=r"item_counts\.share=0\.1 needs a trusted server"):
        check(experiment(trust="local"), linear_strategy=True)
