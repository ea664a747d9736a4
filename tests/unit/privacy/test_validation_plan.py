"""What is asked of private validation users, what it costs, and which experiments may ask."""

import math

import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent, dp_event
from dp_accounting.pld import PLDAccountant

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import epsilon
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import plan
from fedrec.privacy.statement.statement import statement, words
from fedrec.privacy.statement.validation import with_validation
from fedrec.privacy.validation import validation_plan
from tests.claims import CENTRAL, PRIVATE_N, UNITS, experiment

ON = CENTRAL | {"evaluation__private": {"epsilon": 2.0}}


def planned(users=94, **changes):
    """Return the plan for so many validation users."""
    return validation_plan(experiment(**ON | changes), users)


def test_the_base_asks_for_its_loss_and_metrics_and_each_round_for_how_its_loss_differs():
    plan = planned(rounds=3, evaluation__every=2, evaluation__select="best")
    both = ("loss change", "metrics")
    # rounds 2 (every second) and 3 (the last) are ranked; the result is ranked once more
    assert plan.asked == (("base loss", "metrics"), ("loss change",), both, both, ("metrics",))
    assert (plan.count, plan.result) == (2 + 1 + 2 + 2 + 1, 4)


@pytest.mark.parametrize("select", ["last", "average"])
def test_a_run_that_picks_no_round_asks_only_where_lists_are_ranked(select):
    plan = planned(rounds=3, evaluation__every=2, evaluation__select=select)
    assert plan.asked[1] == ()
    assert plan.count == 2 + 0 + 2 + 2 + 1


def test_a_histogram_answers_both_with_one_question():
    private = {"epsilon": 2.0, "form": "histogram"}
    plan = planned(rounds=2, evaluation__every=2, evaluation__select="best", evaluation__private=private)
    assert plan.asked == (("ranks",), ("ranks",), ("ranks",), ("ranks",))


def test_item_counts_ask_for_the_gains_of_their_weights():
    assert planned(privacy__item_counts={"share": 0.25}).asked[-1] == ("gains", "metrics")


def directly(noise, count, delta):
    """Return dp-accounting's own price of so many Gaussian sums."""
    accountant = PLDAccountant()
    event: dp_event.DpEvent = SelfComposedDpEvent(GaussianDpEvent(noise), count)
    return accountant.compose(event).get_epsilon(delta)


@pytest.mark.parametrize("target", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("form", ["mean", "histogram"])
def test_the_whole_schedule_costs_what_dp_accounting_says_and_no_more_than_the_target(target, form):
    plan = planned(rounds=20, evaluation__private={"epsilon": target, "form": form})
    ledger = Ledger()
    for number in range(len(plan.asked)):
        ledger = plan.charge(ledger, number)
    spent = ledger.epsilon(plan.delta)
    assert sum(release.count for release in spent.releases) == plan.count
    assert target * 0.999 <= spent.worst.pld <= target
    reference = directly(plan.noise_multiplier, plan.count, plan.delta)
    assert reference <= spent.worst.pld * (1 + 1e-9), "never below dp-accounting"
    assert spent.worst.pld <= reference * 1.01


def test_replaced_data_cost_twice_the_noise():
    once, twice = planned(), planned(privacy__adjacency="replace-one")
    assert twice.noise_multiplier == pytest.approx(2 * once.noise_multiplier, rel=2e-3)
    assert {release.adjacency for release in twice.releases} == {"replace-one"}


def test_delta_is_a_hundredth_of_one_over_the_validation_users_and_its_own():
    # min(94^-1.1, .01 / 94) = min(.0068, .000106)
    assert planned().delta == pytest.approx(0.01 / 94)
    assert planned(evaluation__private={"epsilon": 2.0, "delta": 1e-3}).delta == 1e-3
    with pytest.raises(PrivacyError, match=r"not below 1/n for n=94 units.*evaluation\.private\.delta"):
        planned(evaluation__private={"epsilon": 2.0, "delta": 0.02})


def test_charging_again_changes_nothing_and_every_kind_is_known():
    plan = planned(rounds=4, evaluation__every=2)
    ledger = plan.charge(plan.charge(Ledger(), 0), 0)
    assert ledger == plan.charge(Ledger(), 0)
    everything = ledger
    for number in range(len(plan.asked)):
        everything = plan.charge(everything, number)
    assert set(everything.charges) == set(plan.releases)
    assert epsilon(everything.bound(), plan.delta).pld <= 2.0


def test_nothing_is_charged_where_nothing_is_asked():
    plan = planned(rounds=3, evaluation__every=2, evaluation__select="last")
    assert plan.charge(Ledger(), 1) == Ledger()


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"privacy__epsilon": math.inf}, r"promises training users none; set privacy\.epsilon"),
        ({"privacy__trust": "local"}, r"set privacy\.trust=central"),
        ({"privacy__trust": "secure-aggregation"}, r"set privacy\.trust=central"),
        (PRIVATE_N, r"set privacy\.adjacency=zero-out"),
        ({"split__validation": 0.0}, r"set it above 0"),
        ({"evaluation__private": {"epsilon": 2.0, "change_bound": math.inf}}, r"change_bound=inf bounds nothing"),
    ],
)
def test_what_has_no_true_claim_is_refused_with_advice(changes, advice):
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**ON | changes), linear_strategy=True)


def test_a_trusted_servers_run_may_ask():
    check(experiment(**ON), linear_strategy=True)
    check(experiment(**ON | {"privacy__adjacency": "replace-one"}), linear_strategy=True)


def test_the_statement_says_both_claims_and_that_test_users_are_not_published():
    wanted = experiment(**ON, rounds=2, evaluation__every=2)
    training, validation = plan(wanted, UNITS, 2), planned(rounds=2, evaluation__every=2)
    books, paid = training.charge(Ledger(), 1, range(20)), validation.charge(Ledger(), 0)
    alone = statement(training, books)
    both = with_validation(alone, validation, paid, {"loss": 0.25})
    assert both.summary["epsilon"] == alone.summary["epsilon"], "a training user pays for the training alone"
    told = both.summary["validation"]
    assert told["epsilon"] == paid.epsilon(validation.delta).worst.pld < 2.0
    assert (told["releases_per_unit"], told["users"], told["deviation"]) == (2, 94, {"loss": 0.25})
    for part in (
        "The 94 validation users are no volunteers",
        "(parallel composition)",
        f"epsilon {words(told['epsilon'])} at delta 0.0001064",
        f"in 2 of {validation.count} sums that were planned before the run",
        "Test users did not volunteer either",
    ):
        assert part in both.text
    assert "validation and test users and the public users, who consented" not in both.text
    assert both.summary["statement"] == both.text
