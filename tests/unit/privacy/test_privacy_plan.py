"""What an experiment with a true claim releases, and how much noise that takes."""

import math
from dataclasses import replace

import pytest

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.privacy.accounting.delta import default_delta
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from tests.claims import CENTRAL, PRIVATE_N, SECURE, UNITS, experiment


def test_secure_sums_are_gaussian_releases_of_the_noise_of_their_fewest_summands():
    secure = experiment(**SECURE, federation__participation=0.25, training__steps=5)
    planned = plan(secure, UnitCounts(users=660, examples=60_000, clients=660), participations=12)
    assert (planned.trust, planned.sampling_rate, planned.count) == ("secure-aggregation", 1.0, 12)
    assert planned.release == Release(planned.noise_multiplier, 1.0, 1)
    assert 8 * (1 - 1e-3) <= epsilon([Release(planned.noise_multiplier, 1.0, 12)], planned.delta).pld <= 8
    assert planned.charge(Ledger(), 3, [4, 7]) == Ledger().charge(3, [4, 7], planned.release)
    # 165 clients, of which 132 stay and 131 of these are honest
    agreed = planned.agreement
    assert (agreed.cohort, agreed.threshold, agreed.colluding) == (165, 132, 1)
    assert agreed.share == pytest.approx(planned.noise_multiplier / math.sqrt(131))
    # The same noise as central trust with fixed cohorts at the same delta: only who adds it differs.
    fixed = CENTRAL | {"federation__participation": 0.25, "privacy__delta": planned.delta}
    assert plan(experiment(**fixed), UNITS, participations=12).noise_multiplier == planned.noise_multiplier


def test_the_default_delta_is_a_hundredth_of_one_in_n():
    # 660^-1.1 = 0.00079 is only half of 1/660, and 0.01/660 = 0.000015
    assert plan(experiment(), UNITS, participations=1).claimed_delta == 0.01 / 660
    # 10^21 units: 10^-23.1 < 10^-23
    assert default_delta(10**21) == (10**21) ** -1.1


def test_a_secure_sums_graph_takes_its_part_of_delta():
    # A cohort of 165 is masked sparsely; 1 % of delta is shared by 30 rounds, and the accountant has the rest.
    secure = experiment(**SECURE, federation__participation=0.25)
    planned = plan(secure, UnitCounts(users=660, examples=60_000, clients=660), participations=12)
    assert planned.agreement.neighbours < 164
    assert planned.agreement.failure == pytest.approx(0.01 * planned.claimed_delta)
    assert planned.delta == pytest.approx(0.99 * 0.01 / 660)
    # 20 clients all know one another, which cannot fail
    small = plan(experiment(**SECURE), UnitCounts(users=20, examples=60, clients=20), participations=12)
    assert (small.agreement.neighbours, small.delta, small.claimed_delta) == (None, 0.0005, 0.0005)


@pytest.mark.parametrize(("bits", "size"), [(32, 40), (33, 42), (16, 20)])
def test_masked_integers_have_the_size_of_their_bits(bits, size):
    secure = experiment(**SECURE, privacy__secure_aggregation={"bits": bits}, training__steps=5)
    planned = plan(secure, UnitCounts(users=660, examples=60_000, clients=20), participations=1)
    assert planned.agreement.vector_bytes(1, 10) == size


def test_a_single_client_has_no_secret_sum():
    with pytest.raises(ConfigError, match="a sum over 1 client"):
        plan(experiment(**SECURE), UnitCounts(users=660, examples=60_000, clients=1), participations=1)


def test_a_private_number_of_units_decides_nothing_of_the_mechanism():
    few, many = (plan(experiment(**PRIVATE_N), UnitCounts(n, 9 * n, n), participations=3) for n in (600, 601))
    assert replace(few, clients=0) == replace(many, clients=0)
    assert experiment(**PRIVATE_N).federation.expected_cohort(600) == 50.0
    # with public n the denominator follows it
    assert experiment(**PRIVATE_N | {"federation__declared_cohort": None}).federation.expected_cohort(600) == 60.0


def test_replaced_units_take_twice_the_noise_wherever_they_are_in_every_sum():
    counted = CENTRAL | {"privacy__item_counts": {"share": 0.3}}
    zeroed, replaced = (
        plan(experiment(**counted, privacy__adjacency=adjacency), UNITS, participations=30)
        for adjacency in ("zero-out", "replace-one")
    )
    assert replaced.noise_multiplier == pytest.approx(2 * zeroed.noise_multiplier, rel=1e-3)
    assert replaced.counts.deviation == pytest.approx(2 * zeroed.counts.deviation, rel=1e-3)
    # the ledger prices what was charged by the same adjacency
    ledger = Ledger()
    for number in range(31):
        ledger = replaced.charge(ledger, number, range(20))
    assert 8 * (1 - 1e-3) <= ledger.epsilon(replaced.delta).worst.pld <= 8


def test_without_privacy_nothing_is_refused_or_noised():
    free = experiment(**CENTRAL | {"federation__partition": "shards"}, privacy__epsilon=math.inf)
    check(free, linear_strategy=False)
    planned = plan(free, UNITS, participations=30)
    assert (planned.trust, planned.noise_multiplier, planned.delta) == ("none", 0.0, 0.0)


def test_local_releases_are_rounds_times_steps_at_the_batch_rate():
    local = experiment(training__steps=3, training__sampling_rate=0.2, federation__participation=0.5)
    planned = plan(local, UNITS, participations=17)
    assert planned.trust == "local"
    assert planned.count == 17 * 3
    assert planned.release == Release(planned.noise_multiplier, 0.2, 3)
    assert planned.delta == pytest.approx(0.01 / 660)
    assert 8 * (1 - 1e-3) <= epsilon([Release(planned.noise_multiplier, 0.2, 51)], planned.delta).pld <= 8
    assert planned.charge(Ledger(), 3, [4, 7]) == Ledger().charge(3, [4, 7], planned.release)


def test_local_trust_never_claims_amplification_from_cohorts():
    poisson = experiment(federation__sampling="poisson", federation__participation=0.1, training__sampling_rate=1.0)
    assert plan(poisson, UNITS, participations=9).sampling_rate == 1


def test_central_poisson_cohorts_amplify_and_charge_everyone_every_round():
    planned = plan(
        experiment(**CENTRAL, federation__sampling="poisson", federation__participation=0.25, training__steps=5),
        UNITS,
        participations=12,
    )
    assert planned.trust == "central"
    assert (planned.sampling_rate, planned.steps, planned.rounds) == (0.25, 1, 30)
    assert planned.charge(Ledger(), 3, []) == Ledger().charge(3, [None], planned.release)


def test_central_fixed_cohorts_charge_those_who_took_part_in_full():
    planned = plan(experiment(**CENTRAL, federation__participation=0.25), UNITS, participations=12)
    assert (planned.sampling_rate, planned.count) == (1.0, 12)
    assert planned.charge(Ledger(), 3, [1]) == Ledger().charge(3, [1], planned.release)


def test_cohorts_without_replacement_have_a_public_size_and_charge_everyone():
    secret = experiment(**CENTRAL, federation__sampling="without-replacement", federation__participation=0.1)
    check(secret, linear_strategy=True)
    planned = plan(secret, UnitCounts(561, 60_000, 561), participations=9)
    # 56 of 561, in each of 30 rounds
    release = Release(planned.noise_multiplier, 56 / 561, 1, draw="without-replacement")
    assert (planned.release, planned.count, planned.epoch) == (release, 30, 1)
    assert planned.cohort_size_is_public
    assert 8 * (1 - 1e-3) <= epsilon([replace(release, count=30)], planned.delta).pld <= 8
    assert planned.charge(Ledger(), 3, [4]) == Ledger().charge(3, [None], release)


def test_balls_in_bins_charge_everyone_once_an_epoch_with_its_first_round():
    binned = experiment(**CENTRAL, federation__sampling="balls-in-bins", federation__participation=0.125)
    check(binned, linear_strategy=True)
    planned = plan(binned, UnitCounts(561, 60_000, 561), participations=30)
    # 30 rounds are three epochs of eight and one cut short, which counts whole
    release = Release(planned.noise_multiplier, 1 / 8, 1, draw="balls-in-bins")
    assert (planned.release, planned.count, planned.epoch) == (release, 4, 8)
    assert not planned.cohort_size_is_public
    assert 8 * (1 - 1e-3) <= epsilon([replace(release, count=4)], planned.delta).pld <= 8
    ledger = Ledger()
    for number in range(1, 31):
        ledger = planned.charge(ledger, number, [])
        assert ledger.releases(5) == (replace(release, count=(number + 7) // 8),)
    assert Ledger.from_json(ledger.to_json()) == ledger


@pytest.mark.parametrize("sampling", ["poisson", "without-replacement", "balls-in-bins"])
def test_everybody_in_every_round_is_no_secret_however_it_is_drawn(sampling):
    planned = plan(experiment(**CENTRAL, federation__sampling=sampling), UNITS, participations=30)
    assert (planned.sampling_rate, planned.count, planned.cohort_size_is_public) == (1.0, 30, True)
    fixed = plan(experiment(**CENTRAL), UNITS, participations=30)
    assert planned.noise_multiplier == fixed.noise_multiplier


def test_a_cohort_size_is_public_unless_it_is_drawn_in_secret():
    half = CENTRAL | {"federation__participation": 0.5}
    for sampling, public in {"fixed": True, "poisson": False}.items():
        planned = plan(experiment(**half, federation__sampling=sampling), UNITS, participations=20)
        assert planned.cohort_size_is_public is public
    # Under local trust every reply is seen, so that nothing rests on the secret.
    local = plan(experiment(federation__participation=0.5, federation__sampling="poisson"), UNITS, participations=20)
    assert local.cohort_size_is_public


@pytest.mark.parametrize("sampling", ["without-replacement", "balls-in-bins"])
def test_secret_draws_amplify_nothing_where_replies_are_seen(sampling):
    local = experiment(federation__sampling=sampling, federation__participation=0.1, training__sampling_rate=1.0)
    planned = plan(local, UNITS, participations=3)
    assert (planned.sampling_rate, planned.draw, planned.rounds, planned.epoch) == (1.0, "poisson", 3, 1)


def test_given_noise_is_kept():
    planned = plan(experiment(privacy__epsilon=math.inf, privacy__noise_multiplier=1.5), UNITS, participations=30)
    assert (planned.trust, planned.noise_multiplier) == ("local", 1.5)


def test_prefixes_hold_an_interaction_window_plus_one_times():
    prefix = experiment(training__example="prefix", privacy__unit="example", model__window=10)
    planned = plan(prefix, UNITS, participations=1)
    assert planned.multiplicity == 11
    assert planned.delta == pytest.approx(0.01 / 60_000)


@pytest.mark.parametrize(("delta", "users"), [(1 / 660, 660), (0.01, 660), (None, 0)])
def test_delta_must_be_below_one_in_n(delta, users):
    with pytest.raises(PrivacyError, match=f"n={users}"):
        plan(experiment(privacy__delta=delta), UnitCounts(users, users, 1), participations=1)


def test_correlated_noise_counts_every_so_many_rounds_at_so_many_times_the_rate():
    banded = CENTRAL | {"privacy__bands": 4, "federation__sampling": "poisson", "federation__participation": 0.1}
    check(experiment(**banded), linear_strategy=True)
    planned = plan(experiment(**banded), UnitCounts(660, 60_000, 10), participations=30)
    # 30 rounds, each client in every fourth: 8 at most, each by a coin of 0.4
    assert (planned.bands, planned.rounds, planned.sampling_rate) == (4, 8, 0.4)
    assert 8 * (1 - 1e-3) <= epsilon([Release(planned.noise_multiplier, 0.4, 8)], planned.delta).pld <= 8
    assert [list(planned.group(number)) for number in (1, 4)] == [[1, 5, 9], [0, 4, 8]]
    # the cohort is secret, so all pay who might have been in it, and nobody else
    assert planned.charge(Ledger(), 5, [1]) == Ledger().charge(5, [1, 5, 9], planned.release)


def test_a_platform_is_a_client_with_all_its_users():
    platform = experiment(privacy__unit="platform", privacy__trust="central")
    check(platform, linear_strategy=True)
    planned = plan(platform, UNITS, participations=30)
    assert (planned.trust, planned.delta) == ("central", pytest.approx(0.01 / 20))


def test_another_populations_noise_is_that_of_its_mean():
    far = experiment(**CENTRAL, privacy__population=66_000)
    planned = plan(far, UnitCounts(660, 60_000, 660), participations=30)
    there = planned.extrapolation.noise_multiplier
    # z * clip / 66,000 on the mean there is z / 100 * clip / 660 here; the claim there is at its own delta
    assert planned.noise_multiplier == pytest.approx(there / 100)
    assert planned.delta == pytest.approx(0.01 / 66_000)
    assert 8 * (1 - 1e-3) <= epsilon([Release(there, 1.0, 30)], planned.delta).pld <= 8
    # what the ledger is charged is what these users get
    assert planned.release.noise_multiplier == planned.noise_multiplier
