"""Every claim against a computation that shares no code with it: within 1 %, and never below what is spent.

The grid is made of the values that the experiment's keys allow, so whoever adds a kind of sampling, trust, unit,
adjacency or noise has to say here what it costs; and of every combination the tests know whether it has a claim.
"""

import math
from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np
import pytest

from fedrec.core.errors import PrivacyError
from fedrec.experiment.config import Experiment, Sampling
from fedrec.experiment.file import load_experiment
from fedrec.experiment.privacy import Adjacency, PrivacyConfig, SecureAggregationConfig
from fedrec.privacy.checks import check
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan, UnitCounts, plan
from fedrec.privacy.statement.statement import statement
from fedrec.run.cohorts import Population
from simulations.plugins import SCENARIOS
from tests.combinations import (
    AXES,
    EXAMPLES,
    GRID,
    LEGAL,
    MANY,
    OPTIONS,
    REFUSED,
    USERS,
    WITHOUT_A_PRICE,
    Combination,
    values,
)
from tests.losses import epsilon_of, gaussian
from tests.oracles import CENTRAL, RELATIONS, Allowed, Exposure, exactly, released, shuffled, skellam

NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def claimed(experiment: Experiment, users: int) -> tuple[PrivacyPlan, float, list[int]]:
    """Return the plan, the statement's epsilon in the end, and the rounds in which the busiest client was asked."""
    check(experiment, linear_strategy=True)
    clients = users if experiment.federation.partition == "users" else experiment.federation.clients
    population = Population(experiment.federation, clients, experiment.privacy.bands)
    cohorts = {number: population.cohort(0, number) for number in range(1, experiment.rounds + 1)}
    times = np.bincount(np.concatenate(list(cohorts.values())).astype(int), minlength=clients)
    made = plan(experiment, UnitCounts(users, EXAMPLES, clients), participations=int(times.max()))
    ledger = Ledger()
    for number in range(experiment.rounds + 1):
        ledger = made.charge(ledger, number, cohorts.get(number, []))
    busiest = int(times.argmax())
    return made, statement(made, ledger).summary["epsilon"], [n for n, asked in cohorts.items() if busiest in asked]


def allowed(experiment: Experiment, made: PrivacyPlan, asked: list[int], users: int) -> Allowed:
    """Return between which values the claim has to lie."""
    privacy, federation = experiment.privacy, experiment.federation
    clients = users if federation.partition == "users" else federation.clients
    units = {"user": users, "example": EXAMPLES, "platform": clients}[privacy.unit]
    delta = privacy.delta or min(units**-1.1, 0.01 / max(units, privacy.population or 0))
    noise = made.noise_multiplier
    if (agreement := made.agreement) is not None:
        # What clients add: the fewest that a sum is opened for, less those who tell their shares.
        honest = agreement.threshold - agreement.colluding
        noise = agreement.share * math.sqrt(honest) / privacy.clip_norm
        delta *= 1.0 if agreement.neighbours is None else 0.99  # masks may fail by the rest
    if made.clipping is not None:
        # A clipped change over its noise, and a bit of 1/2 over its own: one Gaussian of both.
        noise = (made.clipping.noise_multiplier**-2 + (2 * made.clipping.bit_deviation) ** -2) ** -0.5
    share = federation.participation
    if federation.sampling in {"fixed", "without-replacement"}:
        share = round(share * clients) / clients
    of = Exposure(
        noise=noise,
        rounds=experiment.rounds,
        asked=min(len(asked), privacy.filter_rounds or len(asked)),
        share=share,
        adjacency=privacy.adjacency,
        delta=delta,
        counts=None if made.counts is None else made.counts.deviation / privacy.item_counts.clip_norm,
        bands=privacy.bands,
        columns=sum(squared_column(made.factor, experiment.rounds - number) for number in asked),
    )
    return PRICES[privacy.trust](experiment, of)


def squared_column(factor: tuple[float, ...], left: int) -> float:
    """Return the squared norm of a round's column of the factor, which ends with the run, `left` rounds later."""
    return math.fsum(weight**2 for weight in factor[: left + 1])


def local(experiment: Experiment, of: Exposure) -> Allowed:
    """Whoever was asked, as often as it was asked, by the coins of its batches: nobody else hides the cohort."""
    if experiment.privacy.shuffled:
        return shuffled(of, experiment.federation.min_replies)
    return exactly(released(of, experiment.training.sampling_rate, of.asked * experiment.training.steps))


def secure(experiment: Experiment, of: Exposure) -> Allowed:
    """Whoever was asked, as often as it was asked."""
    return SUMS[experiment.privacy.secure_aggregation.noise](of)


def central(experiment: Experiment, of: Exposure) -> Allowed:
    """However cohorts are drawn."""
    return CENTRAL[experiment.federation.sampling](of)


SUMS: Mapping[str, Callable[[Exposure], Allowed]] = {"gaussian": CENTRAL["fixed"], "skellam": skellam}
PRICES: Mapping[str, Callable[[Experiment, Exposure], Allowed]] = {
    "local": local,
    "secure-aggregation": secure,
    "central": central,
}
"""By trust."""


def agree(experiment: Experiment, users: int = USERS) -> float:
    """Return the claim, when it lies where it may."""
    made, epsilon, asked = claimed(experiment, users)
    bounds = allowed(experiment, made, asked, users)
    assert bounds.least <= epsilon <= bounds.most, (bounds.least, epsilon, bounds.most)
    return epsilon


def test_whatever_can_be_chosen_has_an_independent_price() -> None:
    assert set(PRICES) == set(values(PrivacyConfig, "trust"))
    assert set(SUMS) == set(values(SecureAggregationConfig, "noise"))
    assert set(CENTRAL) == set(get_args(Sampling))
    assert set(RELATIONS) == set(get_args(Adjacency))
    asked = {key for option in OPTIONS.values() for key in option.get("privacy", {})}
    assert set(PrivacyConfig.model_fields) == asked | AXES | WITHOUT_A_PRICE


@pytest.mark.parametrize("name", NAMES)
def test_the_claim_of_every_scenario_is_an_independent_accountants(name: str) -> None:
    experiment = load_experiment(name, [], SCENARIOS)
    if not experiment.privacy.on:
        assert name in {"movielens-open", "movielens-best"}
        return
    assert agree(experiment) <= experiment.privacy.epsilon


@pytest.mark.parametrize("cell", LEGAL, ids=lambda cell: cell.name)
def test_every_combination_that_has_a_claim_claims_what_an_independent_computation_does(cell: Combination) -> None:
    agree(cell.experiment, MANY if cell.option == "shuffled" else USERS)


def test_every_other_combination_is_refused_and_no_further_one() -> None:
    wrong = []
    for cell in GRID:
        reasons = [reason for reason, broken in REFUSED.items() if broken(cell)]
        try:
            check(cell.experiment, linear_strategy=True)
            refused = ""
        except PrivacyError as error:
            refused = str(error)
        if bool(reasons) != bool(refused):
            wrong.append((cell.name, reasons, refused))
    assert not wrong


def test_the_grid_is_not_mostly_refused() -> None:
    count = {name: sum(cell.option == name for cell in LEGAL) for name in OPTIONS}
    # local: user x sequence, 2 adjacencies, 4 samplings, 2 partitions: 16; example: 2 + 1 of example and adjacency,
    # 4 x 2: 24. Secret sums: own users, platforms of either partition; 2 adjacencies, examples and noises: 24.
    # Central, of these three and 2 examples: fixed and poisson with 2 adjacencies, the other two with one: 36; and a
    # private number of users, 2 examples: 2.
    assert count["alone"] == 16 + 24 + 24 + 36 + 2
    # Turns: fixed and poisson with 2 adjacencies.
    assert count["bands"] == 3 * 2 * 4
    assert count["filters"] == 3 * 2 * 2
    assert count["adaptive clip"] == count["item counts"] == 36 + 2
    assert count["population"] == 36
    assert count["shuffled"] == 2


def test_the_oracles_tell_the_draws_apart_and_added_losses_are_dp_accountings() -> None:
    of = Exposure(noise=3.0, rounds=12, asked=12, share=1 / 3, adjacency="zero-out", delta=1e-5)
    bins, coins, sizes, shown = (
        CENTRAL[draw](of) for draw in ("balls-in-bins", "poisson", "without-replacement", "fixed")
    )
    assert bins.most < coins.least < coins.most < sizes.least < sizes.most < shown.least
    added, exact = epsilon_of([gaussian(3.0, 12)], of.delta), released(of, 1, 12)
    assert exact * 0.998 <= added <= exact
