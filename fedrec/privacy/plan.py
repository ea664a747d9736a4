"""From an experiment to a mechanism: which combinations have a true claim, and how much noise they need."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fedrec.config import Experiment, PrivacyConfig
from fedrec.errors import PrivacyError
from fedrec.privacy.accounting import Release, calibrate
from fedrec.privacy.secagg.agreement import Agreement, agreement_of

Placement = Literal["client", "sum", "server", "none"]

PLACES: dict[str, Placement] = {"local": "client", "secure-aggregation": "sum", "central": "server"}
"""By `privacy.trust`."""


@dataclass(frozen=True)
class UnitCounts:
    """How many there are to protect, training data only: `users`, `examples` and the `clients` that hold them."""

    users: int
    examples: int
    clients: int


@dataclass(frozen=True)
class PrivacyPlan:
    """What is clipped and noised, where, and how often a unit's data is released.

    Args:
        placement: Who clips and adds noise: each client, enough for itself; clients, enough together ("sum"); the
            server. "none" without privacy.
        unit: What one neighbour adds or removes.
        noise_multiplier: Noise standard deviation over `clip_norm`, on the sum; 0 without privacy.
        clip_norm: L2 bound of one unit's contribution to one sum.
        delta: Chance of failure; 0 without privacy.
        sampling_rate: Poisson rate at which a unit is in a sum, as accounted; 1 claims no amplification.
        steps: Releases of a unit's data in a round it takes part in.
        rounds: Most rounds that any unit takes part in.
        multiplicity: Most units that hold one interaction.
        clients: Number of clients.
        own_client: Whether every user is a client of their own.
        whole_population: Whether each round charges everyone, because the cohort is secret.
        cohorts: How cohorts are drawn; "all" when every client is in every round.
        agreement: Of clients whose noise is together enough; None elsewhere.
    """

    placement: Placement
    unit: Literal["user", "example"]
    noise_multiplier: float
    clip_norm: float
    delta: float
    sampling_rate: float
    steps: int
    rounds: int
    multiplicity: int
    clients: int
    own_client: bool
    whole_population: bool
    cohorts: Literal["fixed", "poisson", "all"]
    agreement: Agreement | None = None

    @property
    def count(self) -> int:
        """Most releases of one unit's data in the whole run."""
        return self.steps * self.rounds

    @property
    def release(self) -> Release:
        """What one round releases of a unit's data: the ledger's charge."""
        return Release(self.noise_multiplier, self.sampling_rate, self.steps)

    def upload_bytes(self, numbers: int) -> int:
        """Return what a client's change of so many numbers takes; keys and shares of a secure sum are not counted."""
        return numbers * (4 if self.agreement is None else self.agreement.terms(0, numbers).dtype.itemsize)

    def charged(self, cohort: Iterable[int]) -> list[int | None]:
        """Return who pays for a round with this cohort: its clients, or everyone (None) where the cohort is secret.

        An empty cohort costs nobody anything, unless nobody may know that it was empty.
        """
        return [None] if self.whole_population else list(cohort)


def placement_of(privacy: PrivacyConfig) -> Placement:
    """Return who clips and adds noise."""
    return PLACES[privacy.trust] if privacy.on else "none"


def plan(experiment: Experiment, units: UnitCounts, participations: int) -> PrivacyPlan:
    """Return the plan of a checked experiment (see `check`), its noise calibrated unless given.

    A secure sum is a release of its own with the noise of its fewest summands. Who is in it is no secret of the server,
    so it is never amplified.

    Args:
        experiment: What is asked for.
        units: Training users, examples and clients; delta is 1 / n^1.1 of the n units unless given.
        participations: Most rounds that any client takes part in, at least 1. The drawn cohorts decide it, never the
            data. With central Poisson cohorts it is not used: every user is charged for every round.

    Raises:
        PrivacyError: If delta is not below 1 / n, or no noise meets epsilon.
        ConfigError: If no secure sum can be made of a cohort.
    """
    privacy, training, federation = experiment.privacy, experiment.training, experiment.federation
    placement = placement_of(privacy)
    central, whole = privacy.trust == "central", privacy.trust != "local"
    everyone = federation.participation == 1
    secret = central and federation.sampling == "poisson"
    steps = 1 if whole else training.steps
    rounds = experiment.rounds if secret else participations
    rate = (federation.participation if secret else 1.0) if whole else training.sampling_rate
    delta = _delta(privacy.delta, units.users if privacy.unit == "user" else units.examples) if privacy.on else 0.0
    noise = privacy.noise_multiplier
    if noise is None:
        noise = calibrate(privacy.epsilon, delta, rate, steps * rounds) if privacy.on else 0.0
    return PrivacyPlan(
        placement=placement,
        unit=privacy.unit,
        noise_multiplier=noise,
        clip_norm=privacy.clip_norm,
        delta=delta,
        sampling_rate=rate,
        steps=steps,
        rounds=rounds,
        multiplicity=experiment.model.window + 1 if training.example == "prefix" else 1,
        clients=units.clients,
        own_client=federation.partition == "users",
        whole_population=secret,
        cohorts="all" if everyone else federation.sampling,
        agreement=agreement_of(experiment, units.clients, noise) if placement == "sum" else None,
    )


def check(experiment: Experiment, *, linear_strategy: bool) -> None:
    """Refuse an experiment whose privacy statement would be false.

    Sequences longer than the model's window are cut to it, Adam on a clipped client and any strategy over locally
    private updates are fine: each is post-processing, or happens before the clip.

    Args:
        experiment: What is asked for; without privacy everything passes.
        linear_strategy: Whether the strategy averages its updates with uniform weights.

    Raises:
        PrivacyError: With every reason and what to do about it, if there is any.
    """
    if experiment.privacy.on and (found := _refusals(experiment, linear_strategy=linear_strategy)):
        message = "this combination has no true privacy claim:\n" + "\n".join(f"- {reason}" for reason in found)
        raise PrivacyError(message)


def _refusals(experiment: Experiment, *, linear_strategy: bool) -> list[str]:
    privacy, training = experiment.privacy, experiment.training
    partition = experiment.federation.partition
    trust, whole, prefix = privacy.trust, privacy.trust != "local", training.example == "prefix"
    rules = [
        (
            whole and partition != "users",
            f"privacy.trust={trust} clips one user's whole update, but federation.partition={partition} lets many "
            "users share it; set federation.partition=users, or privacy.trust=local",
        ),
        (
            whole and not linear_strategy,
            f"privacy.trust={trust} adds noise to a sum, but strategy.name={experiment.strategy.name} is not an "
            "average of ours; choose an averaging strategy such as fedavg, or privacy.trust=local",
        ),
        (
            whole and privacy.unit == "example",
            f"privacy.unit=example needs per-example clipping, which privacy.trust={trust} does not do; "
            "set privacy.unit=user, or privacy.trust=local",
        ),
        (
            trust == "secure-aggregation" and experiment.federation.sampling == "poisson",
            "privacy.trust=secure-aggregation sizes noise and threshold for a cohort known beforehand, but "
            "federation.sampling=poisson draws its size, and a cohort that the server sees amplifies nothing; "
            "set federation.sampling=fixed, or privacy.trust=central",
        ),
        (
            not whole and privacy.unit == "user" and prefix,
            "privacy.unit=user with privacy.trust=local needs one example per user, but training.example=prefix makes "
            "many; set training.example=sequence, or privacy.unit=example",
        ),
        (
            privacy.epsilon < float("inf") and privacy.noise_multiplier is not None,
            f"privacy.epsilon={privacy.epsilon:g} and privacy.noise_multiplier={privacy.noise_multiplier} both fix "
            "the noise; keep privacy.epsilon alone to have it calibrated, or set privacy.epsilon=inf to keep the other",
        ),
    ]
    return [reason for refused, reason in rules if refused]


def _delta(given: float | None, units: int) -> float:
    """Return the given delta, or 1 / n^1.1 for n units.

    Raises:
        PrivacyError: If the result is not below 1 / n: publishing one whole unit would then be allowed.
    """
    delta = units**-1.1 if given is None and units > 0 else given
    if delta is None or not delta < 1 / max(units, 1):
        message = (
            f"delta {delta} is not below 1/n for n={units} units, which would allow publishing one whole; "
            "set a smaller privacy.delta, or train on more units"
        )
        raise PrivacyError(message)
    return delta
