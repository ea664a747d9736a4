"""The ledger forgets nothing, counts nothing twice and does not care about order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.core.errors import RunError
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.ledger import Ledger

DELTA = 1e-5
KINDS = [Release(2.0, 0.5, 2), Release(5.0), Release(1.0 / 3.0, 0.1, 3)]

charges = st.tuples(st.integers(0, 6), st.lists(st.none() | st.integers(0, 4), max_size=3), st.sampled_from(KINDS))
histories = st.lists(charges, max_size=6)
frugal = settings(max_examples=25, deadline=None)


def charged(history):
    ledger = Ledger()
    for round_, clients, release in history:
        ledger = ledger.charge(round_, clients, release)
    return ledger


@frugal
@given(histories, charges)
def test_a_charge_never_lowers_what_was_spent(history, charge):
    before = charged(history)
    after = before.charge(*charge)
    # Kinds with different grids share the finer one, which may shave a few 1e-4 off the pessimism.
    for client in (None, *range(5)):
        assert epsilon(after.releases(client), DELTA).pld >= epsilon(before.releases(client), DELTA).pld * (1 - 5e-4)
    assert after.epsilon(DELTA, 5).worst.pld >= before.epsilon(DELTA, 5).worst.pld * (1 - 5e-4)


@frugal
@given(st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 4), max_size=3)), max_size=8))
def test_with_one_kind_of_release_it_never_falls_at_all(history):
    ledger, spent = Ledger(), 0.0
    for round_, clients in history:
        ledger = ledger.charge(round_, clients, KINDS[0])
        assert ledger.epsilon(DELTA, 5).worst.pld >= spent
        assert ledger.epsilon(DELTA, 5).median.pld <= ledger.epsilon(DELTA, 5).worst.pld
        spent = ledger.epsilon(DELTA, 5).worst.pld


@frugal
@given(histories)
def test_the_bound_costs_at_least_what_any_unit_paid(history):
    ledger = charged(history)
    bound = epsilon(ledger.bound(), DELTA).pld
    assert bound >= ledger.epsilon(DELTA, 5).worst.pld * (1 - 5e-4)
    for client in (None, *range(5)):
        most = {(kind.noise_multiplier, kind.of): kind.count for kind in ledger.bound()}
        assert all(most[kind.noise_multiplier, kind.of] >= kind.count for kind in ledger.releases(client))


@given(histories)
def test_json_round_trip_is_exact(history):
    ledger = charged(history)
    assert Ledger.from_json(ledger.to_json()) == ledger
    assert Ledger.from_json(ledger.to_json()).to_json() == ledger.to_json()


@given(histories, st.randoms(use_true_random=False))
def test_resuming_any_rounds_in_any_order_changes_nothing(history, random):
    again = [*history, *random.choices(history, k=3)] if history else []
    random.shuffle(again)
    assert charged(again).to_json() == charged(history).to_json()


@given(histories)
def test_charging_leaves_the_old_ledger_alone(history):
    ledger = charged(history)
    before = ledger.to_json()
    ledger.charge(9, [0, None], KINDS[0])
    assert ledger.to_json() == before


def test_counts_by_hand():
    # Client 3: rounds 0, 1 and 1 again, 2 steps each = 4 releases; client 4: round 1 = 2 releases.
    ledger = charged([(0, [3], KINDS[0]), (1, [3, 4], KINDS[0]), (1, [3], KINDS[0])])
    assert ledger.releases(3) == (Release(2.0, 0.5, 4),)
    assert ledger.releases(4) == (Release(2.0, 0.5, 2),)
    assert ledger.releases(5) == ()
    spent = ledger.epsilon(DELTA, clients=3)
    assert spent.worst == epsilon([Release(2.0, 0.5, 4)], DELTA)
    assert spent.median == epsilon([Release(2.0, 0.5, 2)], DELTA)
    assert spent.releases == (Release(2.0, 0.5, 4),)


def test_the_population_pays_for_everyone():
    ledger = charged([(0, [None], KINDS[1]), (1, [None], KINDS[1]), (5, [2], KINDS[1])])
    assert ledger.releases(0) == (Release(5.0, 1.0, 2),)
    assert ledger.releases(2) == (Release(5.0, 1.0, 3),)
    assert ledger.epsilon(DELTA, clients=10).median == epsilon([Release(5.0, 1.0, 2)], DELTA)


def test_an_empty_ledger_spent_nothing():
    assert Ledger().charge(0, [], KINDS[0]) == Ledger()
    assert Ledger().epsilon(DELTA).worst.pld == 0 == Ledger().epsilon(DELTA, 7).median.rdp


def test_ten_thousand_clients_stay_small():
    ledger = Ledger()
    for round_ in range(100):
        ledger = ledger.charge(round_, range(round_ % 10, 10_000, 10), KINDS[0])
    assert ledger.epsilon(DELTA, 10_000).worst == epsilon([Release(2.0, 0.5, 20)], DELTA)
    assert len(ledger.to_json()) < 500_000


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"charges": [{"release": {"noise_multiplier": -1}, "rounds": {}}]}'])
def test_a_broken_ledger_is_never_guessed(text):
    with pytest.raises(RunError, match="ledger"):
        Ledger.from_json(text)
