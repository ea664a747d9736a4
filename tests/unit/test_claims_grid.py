"""Every claim against dp-accounting, called directly: within 1 %, and never below.

The composition is written down here from the experiment alone (in how many sums a unit is, by which coin, how far apart
neighbours lie), and priced by dp-accounting's own accountant on a finer grid.
"""

import math
from itertools import product
from typing import Any

import pytest
from dp_accounting import GaussianDpEvent, NeighboringRelation, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant

from fedrec.config import Experiment
from fedrec.errors import PrivacyError
from fedrec.experiment_file import load_experiment
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan, UnitCounts, plan
from fedrec.privacy.refusals import check
from simulations.plugins import SCENARIOS

USERS, EXAMPLES = 561, 50_000
RELATIONS = {
    "zero-out": NeighboringRelation.REPLACE_SPECIAL,
    "add-remove": NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace-one": NeighboringRelation.REPLACE_ONE,
}
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def planned_and_claimed(experiment: Experiment) -> tuple[PrivacyPlan, float]:
    """Return the plan, and the claim when everyone who can be has been in every round."""
    check(experiment, linear_strategy=True)
    own = experiment.federation.partition == "users"
    clients = USERS if own else experiment.federation.clients
    made = plan(experiment, UnitCounts(USERS, EXAMPLES, clients), participations=experiment.rounds)
    ledger = Ledger()
    for number in range(experiment.rounds + 1):
        ledger = made.charge(ledger, number, range(clients))
    return made, ledger.epsilon(made.delta).worst.pld


def independent(experiment: Experiment, made: PrivacyPlan) -> float:
    """Return what dp-accounting asks for the most exposed unit, at the claimed delta less what masks may fail by."""
    privacy, federation, rounds = experiment.privacy, experiment.federation, experiment.rounds
    rate, count = 1.0, rounds
    if privacy.trust == "local":
        rate, count = experiment.training.sampling_rate, rounds * experiment.training.steps
    elif privacy.trust == "central" and federation.sampling == "poisson":
        rate, count = min(1.0, federation.participation * privacy.bands), math.ceil(rounds / privacy.bands)
    noise = made.noise_multiplier
    if made.clipping is not None:
        # A clipped change over its noise, and a bit of 1/2 over its own: one Gaussian of both.
        noise = (made.clipping.noise_multiplier**-2 + (2 * made.clipping.bit_deviation) ** -2) ** -0.5
    accountant = PLDAccountant(RELATIONS[privacy.adjacency], value_discretization_interval=5e-4)
    gaussian = GaussianDpEvent(noise)
    accountant.compose(gaussian if rate == 1 else PoissonSampledDpEvent(rate, gaussian), count)
    if made.counts is not None:
        accountant.compose(GaussianDpEvent(made.counts.deviation / privacy.item_counts.clip_norm))
    failure = 0.0 if made.agreement is None or made.agreement.neighbours is None else 0.01 * made.claimed_delta
    return float(accountant.get_epsilon(made.claimed_delta - failure))


def agree(experiment: Experiment) -> None:
    made, claimed = planned_and_claimed(experiment)
    exact = independent(experiment, made)
    assert exact * (1 - 1e-4) <= claimed <= exact * 1.01, (claimed, exact)


@pytest.mark.parametrize("name", NAMES)
def test_the_claim_of_every_scenario_is_an_independent_accountants(name: str) -> None:
    experiment = load_experiment(name, [], SCENARIOS)
    if not experiment.privacy.on:
        assert name == "movielens-open"
        return
    agree(experiment)
    assert planned_and_claimed(experiment)[1] <= experiment.privacy.epsilon


def combinations() -> list[Any]:
    """Return every unit, trust, sampling and adjacency, with who forms a client as each unit needs it."""
    found = []
    axes = (
        ("user", "example", "platform"),
        ("local", "secure-aggregation", "central"),
        ("fixed", "poisson"),
        tuple(RELATIONS),
        ("sequence", "prefix"),
    )
    for unit, trust, sampling, adjacency, example in product(*axes):
        many = unit == "platform" or trust == "local"
        tree = {
            "rounds": 12,
            "federation": {
                "partition": "shards" if many else "users",
                "participation": 0.3,
                "sampling": sampling,
                "declared_cohort": 200.0 if adjacency == "add-remove" else None,
            },
            "training": {"example": example, "sampling_rate": 0.2, "steps": 3},
            "privacy": {"unit": unit, "trust": trust, "adjacency": adjacency, "noise_multiplier": 3.0},
        }
        if adjacency == "add-remove":
            tree["privacy"]["delta"] = 1e-5
        found.append(pytest.param(tree, id="-".join((unit, trust, sampling, adjacency, example))))
    return found


@pytest.mark.parametrize("tree", combinations())
def test_every_combination_is_refused_or_claims_what_an_independent_accountant_does(tree: dict[str, Any]) -> None:
    experiment = Experiment.model_validate(tree)
    try:
        check(experiment, linear_strategy=True)
    except PrivacyError:
        return
    agree(experiment)


def test_the_grid_is_not_mostly_refused() -> None:
    passed = 0
    for entry in combinations():
        try:
            check(Experiment.model_validate(entry.values[0]), linear_strategy=True)
        except PrivacyError:
            continue
        passed += 1
    # local: user x sequence and example x 2, each with 2 samplings, 2 adjacencies (replaced prefixes refused): 10;
    # sums: user and platform x 2 adjacencies x 2 examples: 8; central the same twice: 16, and add-remove x 2 examples
    assert passed == 10 + 8 + 16 + 2


@pytest.mark.parametrize("adjacency", RELATIONS)
@pytest.mark.parametrize(
    "extra",
    [
        {"adaptive_clip": {"quantile": 0.5, "noise": 0.2}},
        {"bands": 3},
        {"epsilon": 6.0, "noise_multiplier": None, "item_counts": {"share": 0.25}},
    ],
)
def test_what_a_server_releases_beside_or_correlates_is_priced(adjacency: str, extra: dict[str, Any]) -> None:
    private = adjacency == "add-remove"
    if private and "bands" in extra:
        return
    experiment = Experiment.model_validate(
        {
            "rounds": 12,
            "federation": {
                "partition": "users",
                "sampling": "poisson",
                "participation": 0.3,
                "declared_cohort": 170.0 if private else None,
            },
            "privacy": {
                "trust": "central",
                "adjacency": adjacency,
                "noise_multiplier": 3.0,
                "delta": 1e-5 if private else None,
                **extra,
            },
        }
    )
    agree(experiment)
