"""From an experiment to a mechanism: who clips and noises what, how often, and how much noise that needs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fedrec.core.errors import PrivacyError
from fedrec.experiment.config import Experiment, Sampling
from fedrec.experiment.privacy import Adjacency, PrivacyConfig
from fedrec.privacy.accounting import shuffling
from fedrec.privacy.accounting.allocation import bins_of
from fedrec.privacy.accounting.banded import coefficients
from fedrec.privacy.accounting.delta import delta_for
from fedrec.privacy.accounting.prices import Draw, Release, What, calibrate
from fedrec.privacy.accounting.secret_cohorts import exposure_of
from fedrec.privacy.accounting.shuffling import Shuffled
from fedrec.privacy.ledger import Client, Ledger
from fedrec.privacy.secagg.agreement import Agreement, agreement_of, graph_failure

Trust = Literal["local", "secure-aggregation", "central", "none"]


@dataclass(frozen=True)
class UnitCounts:
    """How many there are to protect, training data only: `users`, `examples` and the `clients` that hold them."""

    users: int
    examples: int
    clients: int


@dataclass(frozen=True)
class AdaptiveClip:
    """A clip norm that follows a quantile of the updates' lengths (Andrew et al. 2021, algorithm 1).

    Args:
        quantile: Share of updates that should be no longer than the clip norm.
        lr: Rate of its steps.
        bit_deviation: Noise on the sum of the updates' bits (1/2 if short enough, -1/2 if not, none of no change, so
            that a client's data move their sum by 1/2), in bits.
        noise_multiplier: Noise on the sum of updates over the clip norm: more than the plan's, so that updates and bits
            together cost what the plan says (their theorem 1).
    """

    quantile: float
    lr: float
    bit_deviation: float
    noise_multiplier: float


@dataclass(frozen=True)
class ItemCounts:
    """One release before the first round: how many users have each item.

    Args:
        release: The ledger's charge to everyone.
        clip_norm: L2 bound of a client's vector.
    """

    release: Release
    clip_norm: float

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise on each count."""
        return self.release.noise_multiplier * self.clip_norm


@dataclass(frozen=True)
class Extrapolation:
    """The population whose noise the server adds; its own users would be protected by that much.

    Args:
        population: Units in it.
        noise_multiplier: Noise over the clip norm on *its* sum: calibrated as if it were this run's.
        counts: Noise over the clip norm on its item counts; None if they are not released.
    """

    population: int
    noise_multiplier: float
    counts: float | None


@dataclass(frozen=True)
class PrivacyPlan:
    """What is clipped and noised, where, and how often a unit's data is released.

    Args:
        trust: Who clips and adds noise: each client, enough for itself; clients, enough together
            ("secure-aggregation"); the server. "none" without privacy.
        unit: What neighbours differ in, as `adjacency` says.
        noise_multiplier: Noise standard deviation over `clip_norm`, on the sum; 0 without privacy.
        clip_norm: L2 bound of one unit's contribution to one sum; where clipping is adaptive the first round's.
        delta: Chance of failure that the accountant gets; 0 without privacy. What is claimed is `claimed_delta`.
        sampling_rate: Chance of a unit to be in a sum, as accounted; 1 claims no amplification.
        steps: Releases of a unit's data in a round it takes part in.
        rounds: Most rounds that any unit takes part in, or might; with balls in bins the epochs, with filters those at
            the clip norm.
        multiplicity: Most units that hold one interaction.
        clients: Number of clients.
        own_client: Whether every user is a client of their own.
        whole_population: Whether each round charges everyone who may be in it, because the cohort is secret.
        cohorts: How cohorts are drawn; "all" when every client is in every round.
        agreement: Of clients whose noise is together enough; None elsewhere.
        factor: How the server's noise is correlated from round to round (see `fedrec.privacy.accounting.banded`); (1,)
            for not.
        clipping: How the clip norm follows the updates; None if it is fixed.
        counts: The release before the first round; None for none.
        extrapolation: Whose noise is added; None for this run's own.
        mixed: Fewest messages that a trusted shuffler passes on in a round; 0 without one.
        fixed_key: Whether the experiment says the key of all secret draws, so that whoever reads it can take the noise
            off.
        adjacency: What a neighbour has of one unit.
        draw: How a unit comes into a sum, as accounted, where that is secret.
        filtered: Whether each client has a filter whose budget is `rounds` (see `fedrec.privacy.accounting.filters`).
    """

    trust: Trust
    unit: Literal["user", "example", "platform"]
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
    cohorts: Sampling | Literal["all"]
    agreement: Agreement | None = None
    factor: tuple[float, ...] = (1.0,)
    clipping: AdaptiveClip | None = None
    counts: ItemCounts | None = None
    extrapolation: Extrapolation | None = None
    mixed: int = 0
    fixed_key: bool = False
    adjacency: Adjacency = "zero-out"
    draw: Draw = "poisson"
    filtered: bool = False

    @property
    def claimed_delta(self) -> float:
        """Chance of failure in all: the accountant's, and that a secure sum's graph fails."""
        return self.delta + (self.agreement.failure if self.agreement else 0.0)

    @property
    def bands(self) -> int:
        """Rounds over which the server's noise is correlated; 1 for none."""
        return len(self.factor)

    @property
    def cohort_size_is_public(self) -> bool:
        """Whether it may be told how many clients a round asked.

        So it may where the number is fixed beforehand, or amplifies nothing; each client's own draw keeps it secret.
        """
        return not self.whole_population or self.cohorts in {"without-replacement", "all"}

    @property
    def count(self) -> int:
        """Most releases of one unit's updates in the whole run."""
        return self.steps * self.rounds

    @property
    def release(self) -> Release:
        """What one round releases of a unit's data: the ledger's charge."""
        of: What = "updates" if self.clipping is None else "updates and clipped share"
        return Release(
            self.noise_multiplier,
            self.sampling_rate,
            self.steps,
            "gaussian" if self.agreement is None else self.agreement.noise,
            of,
            self.adjacency,
            self.draw,
            self.mixed,
        )

    @property
    def epoch(self) -> int:
        """Rounds that are paid for together, in one of which a unit's data is used; 1 but for balls in bins."""
        return bins_of(self.sampling_rate) if self.draw == "balls-in-bins" else 1

    @property
    def releases(self) -> tuple[Release, ...]:
        """All kinds of release that a ledger of this plan may hold."""
        return (self.release,) if self.counts is None else (self.release, self.counts.release)

    def group(self, round: int) -> range:
        """Return the clients that may be in a round: with correlated noise every `bands`-th, by its number alone."""
        return range(round % self.bands, self.clients, self.bands)

    def charge(self, ledger: Ledger, round: int, cohort: Iterable[int]) -> Ledger:
        """Return the ledger when a round has been paid for; unchanged without privacy.

        Round 0 is what is released before the first. An empty cohort costs nobody anything, unless nobody may know
        that it was empty. An epoch is paid for whole, with its first round. With filters, whoever was in as many rounds
        as its budget is worth has paid for all that there may be: what it spends in fact is private, and never more.

        Args:
            ledger: What was paid so far.
            round: Number of the round, from 0.
            cohort: Who was asked; where the cohort is secret all pay who might have been in it.
        """
        if self.trust == "none":
            return ledger
        if round == 0:
            return ledger if self.counts is None else ledger.charge(0, [None], self.counts.release)
        first = round - (round - 1) % self.epoch
        return ledger.charge(first, self._payers(ledger, round, cohort), self.release)

    def _payers(self, ledger: Ledger, round: int, cohort: Iterable[int]) -> Iterable[Client]:
        if self.filtered:
            asked = list(cohort)
            paid = ledger.rounds(asked, self.release)
            return [client for client, rounds in zip(asked, paid, strict=True) if rounds < self.rounds]
        if not self.whole_population:
            return cohort
        return [None] if self.bands == 1 else self.group(round)


def trust_of(privacy: PrivacyConfig) -> Trust:
    """Return who clips and adds noise."""
    return privacy.trust if privacy.on else "none"


def plan(experiment: Experiment, units: UnitCounts, participations: int) -> PrivacyPlan:
    """Return the plan of a checked experiment (see `fedrec.privacy.checks.check`), its noise calibrated unless given.

    A secure sum is a release of its own with the noise of its fewest summands. Who is in it is no secret of the server,
    so it is never amplified.

    Correlated noise is priced by Choquette-Choo et al. 2023, theorem 4: a client is in every `bands`-th round only, by
    a coin of `bands` times the rate, and columns of the factor that far apart have disjoint supports, so that the whole
    run is the composition of as many sampled Gaussians as there are such rounds.

    Args:
        experiment: What is asked for.
        units: Training users, examples and clients; delta is min(n^-1.1, 0.01 / n) of the n units unless given.
        participations: Most rounds that any client takes part in, at least 1. The drawn cohorts decide it, never the
            data. With secret cohorts it is not used: whoever might be in a round is charged for it.

    Raises:
        PrivacyError: If delta is not below 1 / n for the n units or the declared population, no noise meets epsilon,
            or more messages should be mixed than there are clients.
        ConfigError: If no secure sum can be made of a cohort.
    """
    privacy, training, federation = experiment.privacy, experiment.training, experiment.federation
    trust = trust_of(privacy)
    whole = privacy.trust != "local"
    steps = 1 if whole else training.steps
    secret = exposure_of(experiment, units.clients)
    rounds, rate, draw = secret or (participations, 1.0 if whole else training.sampling_rate, "poisson")
    filtered = privacy.on and privacy.filter_rounds is not None
    rounds = min(rounds, privacy.filter_rounds or rounds)
    counted = {"user": units.users, "example": units.examples, "platform": units.clients}[privacy.unit]
    claimed = delta_for(privacy.delta, max(privacy.population or 0, counted)) if privacy.on else 0.0
    delta = claimed - graph_failure(experiment, units.clients, claimed) if trust == "secure-aggregation" else claimed
    counts = _counts(privacy, delta)
    noise = privacy.noise_multiplier
    if noise is None:
        beside = () if counts is None else (counts.release,)
        noise = 0.0
        if privacy.on:
            count, adjacency = steps * rounds, privacy.adjacency
            law = privacy.secure_aggregation.noise if trust == "secure-aggregation" else "gaussian"
            noise = calibrate(
                privacy.epsilon, delta, rate, count, beside, adjacency=adjacency, draw=draw, mechanism=law
            )
    mixed = _mixed(experiment, units.clients)
    if mixed and privacy.noise_multiplier is None:
        # Among few clients or at a large epsilon hiding is worth less than its proof costs: the lower noise counts.
        hidden = Shuffled(mixed, rounds, delta, replace=privacy.adjacency == "replace-one")
        noise = min(noise, shuffling.calibrate(privacy.epsilon, hidden))
    planned = PrivacyPlan(
        trust=trust,
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
        whole_population=secret is not None,
        cohorts="all" if federation.participation == 1 else federation.sampling,
        draw=draw,
        agreement=agreement_of(experiment, units.clients, noise, claimed) if trust == "secure-aggregation" else None,
        factor=tuple(coefficients(privacy.bands, experiment.rounds).tolist()),
        counts=counts,
        mixed=mixed,
        fixed_key=privacy.on and privacy.noise_key is not None,
        adjacency=privacy.adjacency,
        filtered=filtered,
    )
    if privacy.population is not None and privacy.on:
        planned = _extrapolated(planned, privacy.population, counted)
    clipping = _clipping(privacy, planned.noise_multiplier, federation.expected_cohort(units.clients))
    return replace(planned, clipping=clipping)


def _mixed(experiment: Experiment, clients: int) -> int:
    """Return the fewest messages that a shuffler passes on in a round, 0 without one.

    Raises:
        PrivacyError: If there are fewer clients.
    """
    fewest = experiment.federation.min_replies
    if not experiment.privacy.shuffled or not experiment.privacy.on:
        return 0
    if fewest > clients:
        message = (
            f"federation.min_replies={fewest} messages are to hide each other, and there are {clients} clients; "
            "set it to as many at most"
        )
        raise PrivacyError(message)
    return fewest


def _counts(privacy: PrivacyConfig, delta: float) -> ItemCounts | None:
    if not privacy.item_counts.share:
        return None
    noise, adjacency = 0.0, privacy.adjacency
    if privacy.on:
        noise = calibrate(privacy.item_counts.share * privacy.epsilon, delta, 1.0, 1, adjacency=adjacency)
    return ItemCounts(Release(noise, of="item counts", adjacency=adjacency), privacy.item_counts.clip_norm)


def _extrapolated(planned: PrivacyPlan, population: int, units: int) -> PrivacyPlan:
    """Return the plan with less noise: means over a population of so many have that much less."""
    shrink, counts = units / population, planned.counts
    smaller = counts and replace(
        counts, release=replace(counts.release, noise_multiplier=counts.release.noise_multiplier * shrink)
    )
    return replace(
        planned,
        noise_multiplier=planned.noise_multiplier * shrink,
        counts=smaller,
        extrapolation=Extrapolation(
            population, planned.noise_multiplier, counts.release.noise_multiplier if counts else None
        ),
    )


def _clipping(privacy: PrivacyConfig, noise: float, cohort: float) -> AdaptiveClip | None:
    """Return how the clip norm adapts, its bits paid for by more noise on the updates.

    Raises:
        PrivacyError: If the bits alone would cost more than everything may.
    """
    adaptive = privacy.adaptive_clip
    if adaptive.quantile is None or not privacy.on:
        return None
    deviation = adaptive.noise * cohort
    if not 2 * deviation > noise:
        message = (
            f"privacy.adaptive_clip.noise={adaptive.noise:g} on a cohort of {cohort:g} gives the share of clipped "
            f"updates away for more than the run may cost; set it above {noise / (2 * cohort):.3g}"
        )
        raise PrivacyError(message)
    return AdaptiveClip(adaptive.quantile, adaptive.lr, deviation, (noise**-2 - (2 * deviation) ** -2) ** -0.5)
