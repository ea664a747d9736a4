"""What a shuffler is worth: exact enumerations, the paper's closed form, laws, and a whole claim."""

import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, norm

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.core.progress import silent
from fedrec.core.seeding import rng_for
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting import shuffling
from fedrec.privacy.accounting.curve import curve
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.accounting.shuffling import Shuffled
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.statement.statement import statement, words
from simulations.attacks.audit import Audit, audit_prepared
from simulations.attacks.recovery import Recovery, require_single_users
from simulations.benchmarks import shuffling as shuffled

LOSSES = (0.0, 0.1, 0.3, 0.6, 1.0, 1.5)


def mixed(laws):
    """Return the exact law of how often each result stands among shuffled messages, `laws[client][result]`."""
    found = Counter()
    for results in product(range(len(laws[0])), repeat=len(laws)):
        chance = math.prod(law[result] for law, result in zip(laws, results, strict=True))
        found[tuple(sorted(results))] += chance
    return found


def lost(left, right, loss):
    """Return the hockey-stick divergence of two laws at `e^loss`."""
    return sum(max(chance - math.exp(loss) * right[result], 0) for result, chance in left.items())


def bound(pure, messages, loss, *, replaced):
    """Return the bound of one round for purely private randomisers, every number of clones by its chance."""
    shown = 0.5 if replaced else 1 / (1 + math.exp(pure))
    chances = binom.pmf(range(messages), messages - 1, math.exp(-pure))
    parts = (shuffling._pld(pure, clones, shown, 1).get_delta_for_epsilon(loss) for clones in range(messages))
    return sum(chance * part for chance, part in zip(chances, parts, strict=True))


def ratio(*laws):
    return max(float(np.max(np.log(left / right))) for left in laws for right in laws)


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("replaced", [False, True])
def test_no_exact_mixture_of_messages_shows_more_than_the_bound(case, replaced):
    rng = rng_for(case, "randomiser")
    one, other, *rest = rng.dirichlet((4.0, 4.0, 4.0), size=5)
    # zero-out: `other` is a message without data, and each law is near it; replace: any two laws are near
    pure = ratio(one, other, *rest) if replaced else max(ratio(law, other) for law in (one, *rest))
    with_one, with_other = mixed([one, *rest]), mixed([other, *rest])
    for loss in LOSSES:
        exact = max(lost(with_one, with_other, loss), lost(with_other, with_one, loss))
        assert exact <= bound(pure, 4, loss, replaced=replaced) + 1e-12


@pytest.mark.parametrize("replaced", [False, True])
def test_randomised_response_among_clones_alone_meets_the_bound_exactly(replaced):
    # e^epsilon0 = 3: (3/4, 1/4) against (1/4, 3/4), and three others who are clones for certain
    unit, empty = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    clone = np.array([0.5, 0.5]) if replaced else empty
    with_one, with_other = (mixed([law, clone, clone, clone]) for law in (unit, empty))
    composed = shuffling._pld(math.log(3), 3, 0.5 if replaced else 0.25, 1)
    for loss in LOSSES:
        exact = max(lost(with_one, with_other, loss), lost(with_other, with_one, loss))
        assert exact <= composed.get_delta_for_epsilon(loss) + 1e-12
        assert composed.get_delta_for_epsilon(loss + 0.02) <= exact + 1e-12, "but for the rounding of losses"


@pytest.mark.parametrize(("pure", "messages"), [(0.5, 10_000), (1.0, 10_000), (2.0, 100_000), (4.0, 1_000_000)])
def test_the_clones_are_counted_below_theorem_3_1(pure, messages):
    delta = 1e-6
    e = math.exp(pure)
    assert pure <= math.log(messages / (16 * math.log(2 / delta)))
    closed = math.log1p((e - 1) / (e + 1) * (8 * math.sqrt(e * math.log(4 / delta) / messages) + 8 * e / messages))
    clones = int(binom.ppf(0.01 * delta, messages - 1, 1 / e))
    assert 0.2 * closed < shuffling._pld(pure, clones, 0.5, 1).get_epsilon_for_delta(0.99 * delta) < closed


@pytest.mark.parametrize(("distance", "delta"), [(1.0, 1e-5), (0.1, 1e-12), (5.0, 1e-18)])
def test_a_message_alone_is_balle_and_wangs_gaussian(distance, delta):
    found = shuffling.local_epsilon(distance, delta)
    exact = norm.cdf(distance / 2 - found / distance) - math.exp(found) * norm.cdf(-distance / 2 - found / distance)
    assert exact == pytest.approx(delta, rel=1e-4)


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_not_purely_private_costs_at_most_what_theorem_3_8_adds(case, replaced):
    rng = rng_for(case, "randomiser")
    one, other, *rest = rng.dirichlet((4.0, 4.0, 4.0), size=5)
    pairs = list(product((one, other, *rest), repeat=2)) if replaced else [(law, other) for law in (one, *rest)]
    pure = 0.7 * max(ratio(*pair) for pair in pairs)
    impure = max(float(np.maximum(a - math.exp(pure) * b, 0).sum()) for pair in pairs for a, b in (pair, pair[::-1]))
    with_one, with_other = mixed([one, *rest]), mixed([other, *rest])
    for loss in LOSSES:
        added = (math.exp(loss) + 1) * (1 + math.exp(-pure) / 2) * 4 * impure
        exact = max(lost(with_one, with_other, loss), lost(with_other, with_one, loss))
        assert exact <= bound(pure, 4, loss, replaced=replaced) + added


def test_more_messages_noise_or_delta_and_fewer_rounds_cost_less():
    of = Shuffled(10_000, 20, 1e-5)
    base = shuffling.epsilon(4.0, of)
    assert shuffling.epsilon(5.0, of) < base
    for cheaper in (Shuffled(20_000, 20, 1e-5), Shuffled(10_000, 10, 1e-5), Shuffled(10_000, 20, 1e-4)):
        assert shuffling.epsilon(4.0, cheaper) < base
    assert base < shuffling.epsilon(4.0, Shuffled(10_000, 20, 1e-5, replace=True))


@pytest.mark.parametrize(("noise", "messages"), [(7.5, 561), (2.0, 100_000)])
def test_a_further_round_never_costs_less(noise, messages):
    spent = [shuffling.epsilon(noise, Shuffled(messages, rounds, 1e-6)) for rounds in range(6)]
    assert spent == sorted(spent)
    assert spent[0] == 0 < spent[1] < spent[5]


def test_nobody_to_hide_among_gains_nothing():
    assert shuffling.epsilon(1.0, Shuffled(1, 5, 1e-5)) == math.inf
    assert shuffling.epsilon(0.0, Shuffled(1000, 5, 1e-5)) == math.inf
    assert shuffling.epsilon(1.0, Shuffled(1000, 0, 1e-5)) == 0
    assert shuffling.calibrate(8.0, Shuffled(1, 20, 1e-5)) == math.inf


def test_the_ledger_pays_the_lower_of_two_prices():
    alone = epsilon([Release(4.0, count=20)], 1e-5)
    hidden = epsilon([Release(4.0, count=20, mixed=10_000)], 1e-5)
    assert hidden.pld == shuffling.epsilon(4.0, Shuffled(10_000, 20, 1e-5)) < alone.pld
    assert hidden.rdp == alone.rdp
    assert epsilon([Release(4.0, count=20, mixed=2)], 1e-5) == alone
    two = [Release(4.0, count=20, mixed=10_000), Release(3.0, mixed=10_000)]
    assert epsilon(two, 1e-5) == epsilon([Release(4.0, count=20), Release(3.0)], 1e-5), "two kinds stand alone"


def test_a_curve_tells_the_ledgers_epsilons():
    releases = [Release(4.0, count=20, mixed=10_000)]
    found = curve(releases, 1e-5)
    assert dict(found.epsilons) == {at: epsilon(releases, at).pld for at in (1e-5, 1e-6, 1e-7, 1e-8)}
    assert found.mu == curve([Release(4.0, count=20)], 1e-5).mu


# a run


def experiment(messages=10_000, **changes):
    tree = {
        "rounds": 20,
        "federation": {"partition": "users", "min_replies": messages},
        "training": {"steps": 1, "sampling_rate": 1.0},
        "privacy": {"epsilon": 1.0, "shuffled": True},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        tree.setdefault(section, {})[name] = value
    return Experiment.model_validate(tree)


def planned(of):
    return plan(of, UnitCounts(10_000, 10_000, 10_000), 20)


def test_a_shuffled_run_needs_less_noise_and_claims_what_it_was_asked_for():
    found, without = planned(experiment()), planned(experiment(privacy__shuffled=False))
    assert found.noise_multiplier < 0.3 * without.noise_multiplier
    ledger = Ledger()
    for number in range(1, 21):
        ledger = found.charge(ledger, number, range(10_000))
    said = statement(found, ledger)
    assert 0.99 < said.summary["epsilon"] <= 1
    assert said.summary["shuffled"]["messages"] == 10_000
    alone = said.summary["shuffled"]["epsilon_without_shuffler"]
    assert alone == epsilon([Release(found.noise_multiplier, count=20)], found.delta).pld > 4
    for part in (
        "A shuffler is trusted to pass on the messages of a round in random order, at least 10,000 of them or none",
        f"Against the shuffler itself, which sees whose message is whose, epsilon is {words(alone)}.",
        "RDP, which knows no shuffler, gives",
    ):
        assert part in said.text


def test_a_neighbour_with_other_data_needs_more_noise_for_the_same_claim():
    zeroed, other = planned(experiment()), planned(experiment(privacy__adjacency="replace-one"))
    assert zeroed.noise_multiplier < other.noise_multiplier < 2 * zeroed.noise_multiplier
    assert 0.99 < epsilon([replace(other.release, count=20)], other.delta).pld <= 1


def test_where_hiding_gains_nothing_the_noise_is_that_of_no_shuffler():
    few = {"messages": 50, "privacy__epsilon": 8.0}
    found, without = planned(experiment(**few)), planned(experiment(**few, privacy__shuffled=False))
    assert found.noise_multiplier == without.noise_multiplier


def test_more_messages_than_clients_are_refused():
    with pytest.raises(PrivacyError, match="min_replies=10001 messages are to hide each other"):
        planned(experiment(messages=10_001))


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"privacy__trust": "central"}, r"set privacy\.trust=local"),
        ({"federation__partition": "shards"}, r"set privacy\.unit=user and federation\.partition=users"),
        ({"federation__participation": 0.5}, r"set federation\.participation=1"),
        ({"federation__min_replies": 1}, r"set it to nearly the number of clients"),
        ({"training__steps": 2}, r"set both to 1"),
        ({"training__sampling_rate": 0.5}, r"set both to 1"),
        ({"adapter__private": ["item_bias.weight"]}, r"set adapter\.private=\[\]"),
    ],
)
def test_what_would_tell_messages_apart_is_refused(changes, advice):
    check(experiment(), linear_strategy=True)
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**changes), linear_strategy=True)


def test_a_strategy_that_is_told_who_sent_what_is_refused():
    with pytest.raises(PrivacyError, match="choose an averaging strategy such as fedavg"):
        check(experiment(), linear_strategy=False)


# what is built on it


def test_the_table_never_asks_for_more_noise_than_without_a_shuffler():
    few, many = (shuffled.compare(users, 8.0) for users in (561, 100_000))
    assert few.shuffled == few.unshuffled == pytest.approx(2.62, abs=0.01)
    assert (many.unshuffled, many.shuffled) == pytest.approx((3.14, 2.00), abs=0.01)
    assert many.ratio == many.shuffled / many.unshuffled


def test_what_sees_a_clients_own_message_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="add --access black-box"):
        audit_prepared(experiment(), tmp_path, tmp_path, Audit(), silent)
    with pytest.raises(ConfigError, match=r"privacy\.shuffled hides whose it is"):
        require_single_users(experiment(), Recovery())
