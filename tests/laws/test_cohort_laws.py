"""Cohorts are subsets of the clients, the same whenever they are drawn, and as large as their kind of sampling says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.experiment.config import FederationConfig
from fedrec.run.cohorts import DRAWS, Population

SEEDS, CLIENTS = st.integers(0, 2**31), st.integers(1, 60)
frugal = settings(max_examples=40, deadline=None)


def population(sampling, participation, clients):
    return Population(FederationConfig(sampling=sampling, participation=participation), clients)


@frugal
@given(st.sampled_from(sorted(DRAWS)), SEEDS, CLIENTS, st.integers(1, 20), st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0]))
def test_a_cohort_is_an_ascending_subset_that_only_seed_and_round_decide(sampling, seed, clients, number, share):
    people = population(sampling, share, clients)
    cohort = people.cohort(seed, number)
    assert cohort == sorted(set(cohort))
    assert set(cohort) <= set(range(clients))
    assert people.cohort(seed, number) == cohort
    assert share < 1 or cohort == list(range(clients))


@frugal
@given(SEEDS, CLIENTS, st.integers(0, 5), st.integers(1, 12))
def test_with_balls_in_bins_every_client_is_in_exactly_one_round_of_every_epoch(seed, clients, epoch, bins):
    people = population("balls-in-bins", 1 / bins, clients)
    rounds = range(epoch * bins + 1, (epoch + 1) * bins + 1)
    assert sorted(client for number in rounds for client in people.cohort(seed, number)) == list(range(clients))
    assert people.federation.expected_cohort(clients) == clients / bins


@frugal
@given(st.sampled_from(["fixed", "without-replacement"]), SEEDS, CLIENTS, st.sampled_from([0.05, 0.3, 0.5]))
def test_sizes_that_are_public_never_vary(sampling, seed, clients, share):
    people = population(sampling, share, clients)
    sizes = {len(people.cohort(seed, number)) for number in range(1, 9)}
    assert sizes == {people.federation.fixed_cohort(clients)} == {int(people.federation.expected_cohort(clients))}


@pytest.mark.parametrize("sampling", sorted(DRAWS))
def test_clients_take_part_equally_often_and_epochs_are_drawn_afresh(sampling):
    people = population(sampling, 0.25, 40)
    counts = np.zeros(40)
    for number in range(1, 401):
        counts[people.cohort(7, number)] += 1
    # 100 of 400 rounds each: standard deviation of a coin's count is sqrt(400 / 4 * 3 / 4) = 8.7
    assert np.all(abs(counts - 100) < 5 * 8.7)
    assert sampling != "balls-in-bins" or np.all(counts == 100)
    assert people.cohort(7, 1) != people.cohort(7, 5)


def test_balls_fall_independently():
    # Two clients share a bin in a quarter of the epochs: 2,000 epochs, standard deviation sqrt(2000 * 3 / 16) = 19.4.
    people = population("balls-in-bins", 0.25, 2)
    together = sum(people.cohort(3, number) == [0, 1] for number in range(1, 8001))
    assert abs(together - 500) < 5 * 19.4
