"""What may be claimed, sentence by sentence."""

import math

import pytest

from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.statement.statement import statement, words

UNITS = UnitCounts(users=660, examples=60_000, clients=20)


def claimed(tree, charges=((1, range(20)), (2, range(5))), units=UNITS):
    planned = plan(Experiment.model_validate(tree), units, participations=2)
    ledger = Ledger()
    for round_, cohort in charges:
        ledger = planned.charge(ledger, round_, cohort)
    return planned, statement(planned, ledger)


def test_local_claim_names_everything():
    planned, said = claimed({"privacy": {"epsilon": 4.0}, "training": {"steps": 3, "sampling_rate": 0.5}})
    spent = epsilon([Release(planned.noise_multiplier, 0.5, 6)], planned.delta)
    assert said.summary["epsilon"] == said.summary["epsilon_worst_client"] == spent.pld <= 4
    assert said.summary["epsilon_rdp"] == spent.rdp
    assert said.summary["epsilon_median_client"] < spent.pld
    assert said.summary["releases_per_unit"] == 6
    assert (said.summary["unit"], said.summary["trust"], said.summary["adjacency"]) == ("user", "local", "zero-out")
    assert said.summary["sampling"] == {"cohorts": "all", "rate": 0.5, "amplifies": True}
    assert said.summary["statement"] == said.text
    for part in (
        f"User-level differential privacy with epsilon {words(spent.pld)} at delta",
        "PLD accountant; RDP gives",
        "Adjacency is zero-out: a neighbour has nothing of one user",
        "Publishing one of n units whole has delta 1/n",
        "holds against the server, the other clients",
        "rate 0.5), which amplifies",
        "6 releases of the most exposed unit's data (2 rounds x 3 a round)",
        "no loss, no number of examples, only its parameters and the constant weight 1",
        "validation and test users and the public users, who consented",
        "Choosing hyper-parameters on the private data costs more",
    ):
        assert part in said.text


def test_full_batches_claim_no_amplification():
    _, said = claimed({"privacy": {"epsilon": 4.0}, "training": {"sampling_rate": 1.0}})
    assert "is in every batch, without amplification" in said.text
    assert not said.summary["sampling"]["amplifies"]


def test_one_user_a_client_is_called_local_differential_privacy():
    assert (
        "local differential privacy"
        in claimed({"privacy": {"epsilon": 4.0}, "federation": {"partition": "users"}})[1].text
    )


def test_central_claim_says_who_is_trusted_and_what_amplifies():
    tree = {
        "rounds": 2,
        "privacy": {"epsilon": 4.0, "trust": "central"},
        "federation": {"partition": "users", "sampling": "poisson", "participation": 0.1},
    }
    planned, said = claimed(tree)
    assert "The server is trusted" in said.text
    assert "rate 0.1), which amplifies" in said.text
    assert "Who takes part in a round stays with the server" in said.text
    assert said.summary["epsilon"] == said.summary["epsilon_median_client"] == pytest.approx(4.0, rel=2e-3)
    assert said.summary["releases_per_unit"] == planned.count == 2


def test_a_public_size_is_called_public_and_the_members_secret():
    tree = {
        "rounds": 2,
        "privacy": {"epsilon": 4.0, "trust": "central"},
        "federation": {"partition": "users", "sampling": "without-replacement", "participation": 0.25},
    }
    _, said = claimed(tree)
    assert "Each round 5 of 20 clients take part, a number that is public; which ones" in said.text
    assert "Who takes part in a round stays with the server" in said.text
    assert said.summary["sampling"] == {"cohorts": "without-replacement", "rate": 0.25, "amplifies": True}
    assert said.summary["epsilon"] == pytest.approx(4.0, rel=2e-3)


def test_balls_in_bins_are_counted_by_epochs():
    tree = {
        "rounds": 6,
        "privacy": {"epsilon": 4.0, "trust": "central"},
        "federation": {"partition": "users", "sampling": "balls-in-bins", "participation": 0.25},
    }
    _, said = claimed(tree, charges=((1, []), (2, range(5)), (5, [3])))
    assert "Each user is in exactly one of every 4 rounds, drawn for itself in secret" in said.text
    assert "how many are in a round stays secret, too" in said.text
    assert "2 releases of the most exposed unit's data (once in each of 2 epochs of 4 rounds, one begun" in said.text
    assert said.summary["sampling"] == {"cohorts": "balls-in-bins", "rate": 0.25, "amplifies": True}
    assert said.summary["epsilon"] == pytest.approx(4.0, rel=2e-3)


SECURE = {"epsilon": 4.0, "trust": "secure-aggregation"}


def test_secure_sums_say_who_is_trusted_with_what():
    federation = {"partition": "users", "participation": 0.5}
    planned, said = claimed({"rounds": 4, "privacy": SECURE, "federation": federation}, charges=((1, range(10)),))
    assert said.summary["trust"] == "secure-aggregation"
    assert said.summary["sampling"] == {"cohorts": "fixed", "rate": 1.0, "amplifies": False}
    numbers = said.summary["secure_aggregation"]
    assert (numbers["cohort"], numbers["threshold"], numbers["colluding"], numbers["neighbours"]) == (10, 8, 1, 9)
    assert (numbers["bits"], numbers["masked_rounds"]) == (32, 1)
    for part in (
        "The server is trusted to follow the protocol, and with no client's update (semi-honest)",
        "rounds it to a grid that is fine against the noise",
        "learns their sum modulo 2^32 over at least 8 of a round's 10 clients, or nothing",
        f"those of 8 clients, less 1 that may be known, make Gaussian noise of {planned.noise_multiplier:.4g} times",
        "holds against the server together with any client of a round",
        "Cohorts have a fixed size, for which no amplification",
        "Who takes part in a round is not hidden",
        "only masked integers, keys, sealed shares and that it took part",
        "a server that lies about public keys",
        "clients that lie about their own numbers",
        "asked for again, after a crash, with other clients left",
        "it computes the masks of the first of 4 rounds; in the others the same integers, noise included, are added",
    ):
        assert part in said.text


@pytest.mark.parametrize(
    ("chosen", "words_"),
    [
        ({"colluding": 0}, "not against a client of the same round, who knows its own share"),
        ({"colluding": 3}, "together with up to 3 clients of a round"),
        ({"masked_rounds": 0}, "it computes the masks of none of 30 rounds"),
        ({"masked_rounds": 3}, "it computes the masks of the first 3 of 30 rounds"),
        ({"masked_rounds": 50}, "it computes the masks of all 30 rounds"),
    ],
)
def test_secure_sums_say_what_was_chosen(chosen, words_):
    privacy = {**SECURE, "secure_aggregation": chosen}
    assert words_ in claimed({"privacy": privacy, "federation": {"partition": "users"}})[1].text


def test_a_sparse_graph_of_masks_is_said_to_be_one():
    units = UnitCounts(users=500, examples=500, clients=500)
    _, said = claimed({"privacy": SECURE, "federation": {"partition": "users"}}, units=units)
    few = said.summary["secure_aggregation"]["neighbours"]
    assert few < 200
    assert f"masks with {few} others, drawn at random" in said.text
    # 1 % of 0.01 / 500
    assert said.summary["secure_aggregation"]["graph_failure"] == pytest.approx(2e-7)
    assert said.summary["delta"] == pytest.approx(2e-5)
    assert said.summary["delta_of_accountant"] == pytest.approx(0.99 * 2e-5)
    assert "2e-07 of it is for masks that fail" in said.text


@pytest.mark.parametrize(
    ("participation", "words_"),
    [(0.5, "Cohorts have a fixed size, for which no amplification"), (1.0, "Every user is in every round, without")],
)
def test_central_fixed_cohorts_claim_no_amplification(participation, words_):
    federation = {"partition": "users", "participation": participation}
    assert words_ in claimed({"privacy": {"epsilon": 4.0, "trust": "central"}, "federation": federation})[1].text


def test_example_claims_come_with_their_multiplicity():
    tree = {
        "privacy": {"epsilon": math.inf, "noise_multiplier": 20.0, "unit": "example"},
        "training": {"example": "prefix"},
        "model": {"window": 3},
    }
    _, said = claimed(tree)
    assert said.summary["multiplicity"] == 4
    assert said.summary["epsilon"] < said.summary["epsilon_group"] < said.summary["epsilon_interaction"]
    assert "up to 4 examples, so this is not interaction-level privacy" in said.text
    assert "up to 7 changes" in said.text


def test_a_hopeless_group_is_called_that():
    tree = {"privacy": {"epsilon": 8.0, "unit": "example"}, "training": {"example": "prefix"}}
    _, said = claimed(tree)
    assert said.summary["epsilon_group"] > 100
    assert "no meaningful guarantee" in said.text


def test_a_sequence_as_example_is_a_user():
    _, said = claimed({"privacy": {"epsilon": 8.0, "unit": "example"}})
    assert said.summary["multiplicity"] == 1
    assert "holds at user level too" in said.text


@pytest.mark.parametrize(("asked", "meaningful"), [(8.0, True), (200.0, False)])
def test_an_epsilon_that_means_nothing_is_called_that(asked, meaningful):
    _, said = claimed({"privacy": {"epsilon": asked}, "training": {"sampling_rate": 1.0}})
    assert said.summary["epsilon"] == pytest.approx(asked, rel=1e-3)
    assert said.summary["meaningful"] is meaningful
    assert ("no meaningful guarantee" in said.text) is not meaningful


def test_what_a_guess_misses_is_rounded_down_and_mu_up():
    # one release with noise 1: beta is Phi(2.3263 - 1) = .9076 at alpha .01 and Phi(1.2816 - 1) = .6109 at alpha .1
    tree = {"privacy": {"noise_multiplier": 1.0}, "training": {"sampling_rate": 1.0, "steps": 1}}
    _, said = claimed(tree, charges=[(1, range(20))])
    assert "at least 90.7 % at 1% and 61.0 % at 10% of false positives" in said.text
    assert "N(1.000, 1): mu of Gaussian" in said.text
    assert said.summary["curve"]["mu"] == 1.0


def test_an_open_run_is_not_meaningful():
    assert claimed({})[1].summary["meaningful"] is False


def test_neighbours_are_named_with_what_stays_private():
    replaced = claimed({"privacy": {"epsilon": 4.0, "adjacency": "replace-one"}})[1]
    assert replaced.summary["adjacency"] == "replace-one"
    assert "has other data of one user, so that contributions may lie two clip norms apart" in replaced.text
    private = {"epsilon": 4.0, "adjacency": "add-remove", "trust": "central", "delta": 1e-5}
    cohorts = {"partition": "users", "sampling": "poisson", "participation": 0.1, "declared_cohort": 60.0}
    added = claimed({"privacy": private, "federation": cohorts})[1]
    assert "has one user more or less, and how many there are stays private, too" in added.text


def test_nothing_released_is_epsilon_zero():
    assert claimed({"privacy": {"epsilon": 8.0}}, charges=())[1].summary["epsilon"] == 0


def test_without_privacy_it_says_so_plainly():
    _, said = claimed({}, charges=())
    assert said.text.startswith("Nothing is protected")
    assert said.summary["epsilon"] == math.inf
    assert (said.summary["unit"], said.summary["trust"], said.summary["clip_norm"]) == ("none", "none", None)


@pytest.mark.parametrize(
    ("value", "shown"), [(3.0001, "3.001"), (8.0, "8.000"), (0.0, "0.000"), (math.inf, "infinity")]
)
def test_epsilon_is_rounded_up(value, shown):
    assert words(value) == shown
