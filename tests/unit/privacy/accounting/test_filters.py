"""Filters by hand arithmetic: who may add how much for how long, and what everybody's contributions cost together."""

import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.privacy.accounting.filters import Filter
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.statement.statement import statement
from tests.claims import CENTRAL, UNITS, experiment

FILTERED = CENTRAL | {"rounds": 40, "privacy__filter_rounds": 10}


def spent_by(lengths, rounds, clip_norm=1.0):
    """Return what one client adds, round by round, when it wants to add these lengths."""
    left, added = Filter.full(1, rounds, clip_norm), []
    for length in lengths:
        factor, cost = left.admit(0, length)
        left = left.after({0: cost})
        added.append(length * factor)
    return added, left


def test_a_client_at_the_clip_norm_is_in_as_many_rounds_as_its_budget_has():
    added, left = spent_by([2.0] * 5, rounds=3, clip_norm=2.0)
    assert added == [2.0, 2.0, 2.0, 0.0, 0.0]
    assert left.left.tolist() == [0.0]


def test_half_the_clip_norm_costs_a_quarter():
    # .5^2 = 1/4: a budget of 3 lasts for 12 rounds
    added, left = spent_by([0.5] * 14, rounds=3)
    assert added == [0.5] * 12 + [0.0, 0.0]
    assert left.left.tolist() == [0.0]


def test_the_last_contribution_is_shortened_to_what_is_left():
    # 1 + .6^2 = 1.36; of 2 there is .64 left, whose root is .8; after that nothing
    added, left = spent_by([1.0, 0.6, 1.0, 0.1], rounds=2)
    assert added == pytest.approx([1.0, 0.6, 0.8, 0.0], abs=1e-12)
    assert left.left.tolist() == [0.0]


def test_no_change_costs_nothing_also_of_a_client_that_is_done():
    _, done = spent_by([1.0], rounds=1)
    assert done.admit(0, 0.0) == (1.0, 0.0)


def test_clients_do_not_pay_for_each_other_and_filters_are_values():
    before = Filter.full(3, 2, 1.0)
    after = before.after({2: 0.5, 0: 2.0})
    assert (before.left.tolist(), after.left.tolist()) == ([2.0, 2.0, 2.0], [0.0, 2.0, 1.5])
    assert before.after({}).left.tolist() == [2.0, 2.0, 2.0]


def test_a_filter_tells_who_is_active_and_how_much_of_budgets_is_spent():
    # of a budget of 2 are spent: all, nothing, .5 (a quarter, the third tenth), 1.9 (the last tenth)
    told = Filter(np.array([0.0, 2.0, 1.5, 0.1]), 2, 1.0).told()
    assert told == {"active": 3, "spent_tenths": [1, 0, 1, 0, 0, 0, 0, 0, 0, 2]}


@given(
    lengths=st.lists(st.floats(0, 1), max_size=60),
    rounds=st.integers(1, 8),
    clip_norm=st.sampled_from([0.3, 1.0, 7.0]),
)
def test_no_sequence_of_contributions_exceeds_its_budget(lengths, rounds, clip_norm):
    added, left = spent_by([length * clip_norm for length in lengths], rounds, clip_norm)
    total = math.fsum((length / clip_norm) ** 2 for length in added)
    assert total <= rounds * (1 + 1e-12)
    assert 0 <= left.left[0] == pytest.approx(rounds - total, abs=1e-9)
    wanted = math.fsum(length**2 for length in lengths)
    assert total == pytest.approx(min(wanted, rounds), abs=1e-9), "nothing is shortened before it must be"


def test_the_loss_of_a_unit_that_chooses_its_lengths_by_what_it_sees_is_that_of_one_gaussian():
    # Lengths follow the last results: half after a gain, whole after a loss. With a budget of 3 at noise 2 the loss is
    # N(-mu^2 / 2, mu^2) with mu = sqrt(3) / 2. 20,000 runs of 12 rounds, the last of which tops the budget up.
    rng, budget, noise, runs = np.random.default_rng(5), 3, 2.0, 20_000
    left, length = Filter.full(runs, budget, 1.0), np.ones(runs)
    losses = np.zeros(runs)
    for number in range(12):
        wanted = np.ones(runs) * 9 if number == 11 else length
        admitted = [left.admit(client, wanted[client]) for client in range(runs)]
        added = wanted * np.array([factor for factor, _ in admitted])
        left = left.after({client: cost for client, (_, cost) in enumerate(admitted)})
        gained = added / noise * rng.standard_normal(runs) - (added / noise) ** 2 / 2
        losses, length = losses + gained, np.where(gained > 0, 0.5, 1.0)
    mu = math.sqrt(budget) / noise
    assert left.left.max() == pytest.approx(0, abs=1e-12)
    assert kstest((losses + mu**2 / 2) / mu, "norm").pvalue > 0.01


def test_noise_is_for_the_filters_rounds_and_not_for_all():
    short = CENTRAL | {"rounds": 10}
    filtered, plain = (plan(experiment(**how), UNITS, participations=how["rounds"]) for how in (FILTERED, short))
    assert filtered.noise_multiplier == plain.noise_multiplier
    assert (filtered.filtered, filtered.count, plain.filtered) == (True, 10, False)
    # Whoever is asked less often than that pays for fewer.
    rare = plan(experiment(**FILTERED), UNITS, participations=4)
    assert (rare.count, rare.noise_multiplier < plain.noise_multiplier) == (4, True)


@pytest.mark.parametrize("adjacency", ["zero-out", "replace-one"])
@pytest.mark.parametrize("target", [1.0, 8.0])
def test_the_claim_is_dp_accountings_and_never_below(target, adjacency):
    wanted = experiment(**FILTERED, privacy__epsilon=target, privacy__adjacency=adjacency)
    planned, ledger = plan(wanted, UNITS, participations=40), Ledger()
    for number in range(1, 41):
        ledger = planned.charge(ledger, number, range(20))
    found = ledger.epsilon(planned.delta).worst.pld
    # Contributions of two clip norms (replace-one) at noise z are those of one at z / 2.
    noise = planned.noise_multiplier / (2 if adjacency == "replace-one" else 1)
    accountant = PLDAccountant(value_discretization_interval=1e-4)
    accountant.compose(GaussianDpEvent(noise / math.sqrt(10)))
    exact = accountant.get_epsilon(planned.delta)
    assert exact * (1 - 1e-6) <= found <= 1.01 * exact
    assert found <= target


def test_the_ledger_grows_with_a_clients_rounds_and_stops_at_its_budget():
    planned, ledger = plan(experiment(**FILTERED), UNITS, participations=40), Ledger()
    for number in range(1, 41):
        ledger = planned.charge(ledger, number, [0, 1] if number % 2 else [0])
        paid = ledger.rounds([0, 1, 2], planned.release)
        assert paid == [min(number, 10), min(-(-number // 2), 10), 0]
        assert planned.charge(ledger, number, [0]) == ledger, "paying again changes nothing"
    assert ledger.epsilon(planned.delta).worst.pld == epsilon([planned.release] * 10, planned.delta).pld
    assert planned.charge(Ledger(), 1, []) == Ledger()


def test_item_counts_are_priced_beside_the_filter():
    counted = plan(experiment(**FILTERED, privacy__item_counts={"share": 0.25}), UNITS, participations=40)
    ledger = counted.charge(Ledger(), 0, ())
    for number in range(1, 41):
        ledger = counted.charge(ledger, number, range(20))
    assert 8 * (1 - 1e-3) <= ledger.epsilon(counted.delta).worst.pld <= 8
    assert ledger.epsilon(counted.delta).releases == (
        counted.counts.release,
        Release(counted.noise_multiplier, count=10),
    )


def test_the_statement_says_what_a_filter_does_and_counts_no_round_beyond_it():
    planned, ledger = plan(experiment(**FILTERED), UNITS, participations=40), Ledger()
    for number in range(1, 41):
        ledger = planned.charge(ledger, number, range(20))
    said = statement(planned, ledger)
    assert "Composed are 10 releases" in said.parts["Composition"]
    assert "10 rounds at the clip norm" in said.parts["Composition"]
    assert "a budget of 10 updates as long as the clip norm" in said.parts["Filters"]
    assert said.summary["filter_rounds"] == 10
    assert "Filters" not in statement(plan(experiment(**CENTRAL), UNITS, 10), ledger).parts


def test_without_privacy_nobody_is_filtered():
    assert not plan(experiment(**FILTERED | {"privacy__epsilon": math.inf}), UNITS, participations=40).filtered


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"privacy__trust": "local"}, "privacy.filter_rounds=10 needs a trusted server; set privacy.trust=central"),
        ({"privacy__trust": "secure-aggregation"}, "privacy.filter_rounds=10 needs a trusted server"),
        ({"federation__sampling": "poisson"}, "no amplification by federation.sampling=poisson is proven"),
        ({"federation__sampling": "without-replacement"}, "no amplification by federation.sampling=without-repl"),
        ({"federation__sampling": "balls-in-bins"}, "no amplification by federation.sampling=balls-in-bins is"),
        ({"privacy__bands": 2, "federation__participation": 0.5}, "independent noise of one size only"),
        ({"privacy__adaptive_clip": {"quantile": 0.5}}, "independent noise of one size only"),
    ],
)
def test_what_has_no_proven_price_is_refused(changes, advice):
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**FILTERED | changes), linear_strategy=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"federation__participation": 0.5},
        {"privacy__adjacency": "replace-one"},
        {"privacy__unit": "platform", "federation__partition": "shards"},
        {"privacy__item_counts": {"share": 0.25}},
        {"rounds": 10},
        {"adapter__private": ["item_bias*"]},
        {"privacy__epsilon": math.inf, "privacy__noise_multiplier": 2.0},
    ],
)
def test_what_has_a_proven_price_passes(changes):
    check(experiment(**FILTERED | changes), linear_strategy=True)


def test_a_budget_that_nobody_can_spend_is_refused():
    with pytest.raises(ConfigError, match=r"privacy\.filter_rounds=10 is a budget that nobody can spend in rounds=9"):
        check(experiment(**FILTERED | {"rounds": 9}), linear_strategy=True)


def test_another_populations_noise_and_filters_go_together():
    counts = UnitCounts(users=660, examples=660, clients=660)
    there = plan(experiment(**FILTERED, privacy__population=6600), counts, participations=40)
    here = plan(experiment(**FILTERED, privacy__delta=there.delta), counts, participations=40)
    assert there.noise_multiplier == pytest.approx(here.noise_multiplier / 10)
    assert there.filtered
