"""What may be claimed, in words for people and in numbers for `summary.json`."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from fedrec.privacy.accounting.curve import Curve, curve
from fedrec.privacy.ledger import Ledger, Spent
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.statement.groups import group_epsilon
from fedrec.privacy.statement.servers import events, extrapolated, filtering, noising
from fedrec.privacy.statement.servers import numbers_of as numbers_of_server
from fedrec.privacy.statement.shuffling import HIDING, mixing
from fedrec.privacy.statement.shuffling import numbers_of as numbers_of_shuffler
from fedrec.privacy.statement.sums import UNCOVERED, masks, numbers_of, summing

UNPROTECTED = (
    "Nothing is protected: this run trained without differential privacy. Every update leaves its client as it is, and "
    "whoever sees an update or a model may learn about the users whose data trained it."
)

_NOTHING_ELSE = "Nothing else leaves a client: no loss, no number of examples, only "

_BOUNDARY = {
    "Released": f"{_NOTHING_ELSE}its parameters and the constant weight 1.",
    "Not covered": "Outside the ledger are the validation and test users and the public users, who consented; the "
    "catalogue with its text and the pretrained text encoder, which are public; and the controls, which are computed "
    "without privacy for comparison only.",
    "Tuning": "Choosing hyper-parameters on the private data costs more than this one run, and that cost is not "
    "included.",
}

FIXED_KEY = (
    "REPRODUCIBLE, PROTECTS NOBODY: the experiment fixes the key of its noise (privacy.noise_key), so whoever reads it "
    "can take the noise off. What follows is what the same run would promise with a key of its own."
)

_OWN_KEY = (
    "Noise, and whatever else must stay secret, comes from a key that this run alone drew from the operating system "
    "and keeps in its private part; the experiment's seed decides nothing that is secret. The generators behind the "
    "draws simulate noise and are not cryptographic."
)
_PUBLISHED = (
    "The claim covers everything in the run's folder public/. The rest of the run, its folder private/, is seen only "
    "because this is a simulation: who failed and why, what was counted exactly, how long rounds took."
)

_ONE = {"user": "user", "example": "training example", "platform": "client"}
"""By unit, what people call one."""

MEANINGLESS = 100.0
"""Epsilon from which the words stop pretending: odds may change by a factor of e^100."""

_NOTHING_MEANT = (
    f"An epsilon of {MEANINGLESS:g} or more is no meaningful guarantee: what can be seen may be e^100 times likelier "
    "with one unit's data than without."
)

_NEIGHBOUR = {
    "zero-out": "has nothing of one {one}, whose place stays: units, clients and how many there are, are public",
    "add-remove": "has one {one} more or less, and how many there are stays private, too: delta and the number that "
    "sums are divided by were declared without looking. Held-out users are the same in both worlds. Whoever publishes "
    "scores of theirs must have chosen them apart: in this simulation they are a share of everybody, so that how many "
    "were ranked tells roughly how many trained",
    "replace-one": "has other data of one {one}, so that contributions may lie two clip norms apart: units, clients "
    "and how many there are, are public",
}
"""By adjacency."""


@dataclass(frozen=True)
class Statement:
    """A claim: `parts` in plain sentences by what they are about, `summary` for `summary.json`.

    In the summary epsilon is inf where nothing is promised.
    """

    parts: dict[str, str]
    summary: dict[str, Any]

    @property
    def text(self) -> str:
        """The whole claim as one paragraph."""
        return " ".join(self.parts.values())


def statement(plan: PrivacyPlan, ledger: Ledger) -> Statement:
    """Return what the run may claim for what it has released so far.

    Args:
        plan: The mechanism that ran.
        ledger: Its charges; an empty ledger claims epsilon 0, because nothing was released.
    """
    if plan.trust == "none":
        nothing = {**_settings(plan), **_spent(math.inf, math.inf, math.inf), "statement": UNPROTECTED}
        return Statement({"Promise": UNPROTECTED}, nothing)
    spent = ledger.epsilon(plan.delta, plan.clients)
    numbers = _settings(plan) | _spent(spent.worst.pld, spent.worst.rdp, spent.median.pld)
    numbers["releases_per_unit"] = sum(release.count for release in spent.releases)
    numbers["releases"] = [asdict(release) for release in spent.releases]
    if plan.mixed:
        numbers |= numbers_of_shuffler(plan, spent.releases)
    parts = {
        "Promise": _claim(plan, spent),
        "Neighbours": _adjacency(plan),
        "Delta": _delta(plan),
        "Trust": _adversary(plan, numbers),
        "Sampling": _sampling(plan),
        "Composition": _composition(plan, numbers),
    }
    promised = curve(spent.releases, plan.delta)
    numbers["curve"] = promised.to_json()
    parts["Trade-off"] = _tradeoff(promised)
    if spent.worst.pld >= MEANINGLESS:
        parts = {"No meaningful guarantee": _NOTHING_MEANT, **parts}
    if plan.fixed_key:
        parts = {"Noise key": FIXED_KEY, **parts}
    if plan.extrapolation is not None:
        parts = {"Extrapolation": extrapolated(plan, plan.extrapolation), **parts}
    if beside := events(plan):
        parts["Beside the sums"] = beside
    if plan.filtered:
        parts["Filters"] = filtering(plan)
    if plan.unit == "example":
        groups = _groups(plan, spent)
        numbers |= groups
        parts["Interactions"] = _multiplicity(groups)
    said = Statement({**parts, **_boundary(plan)}, numbers)
    return replace(said, summary={**numbers, "statement": said.text, "parts": said.parts})


def _settings(plan: PrivacyPlan) -> dict[str, Any]:
    on = plan.trust != "none"
    return {
        "unit": plan.unit if on else "none",
        "trust": plan.trust,
        "adjacency": plan.adjacency if on else "none",
        "delta": plan.claimed_delta,
        "delta_of_accountant": plan.delta,
        "noise_key": ("fixed" if plan.fixed_key else "fresh") if on else "none",
        "noise_multiplier": plan.noise_multiplier,
        "clip_norm": plan.clip_norm if on else None,
        "sampling": {"cohorts": plan.cohorts, "rate": plan.sampling_rate, "amplifies": on and plan.sampling_rate < 1},
        "releases_per_unit": plan.count,
        **({"secure_aggregation": numbers_of(plan.agreement)} if plan.agreement else {}),
        **(numbers_of_server(plan) if on else {}),
    }


def _boundary(plan: PrivacyPlan) -> dict[str, str]:
    """Return what the claim is not about, and what it is about beside the adapter."""
    boundary = {**_BOUNDARY, "Published": _PUBLISHED}
    if not plan.fixed_key:
        boundary["Noise key"] = _OWN_KEY
    if plan.agreement is None:
        if plan.counts is None:
            return boundary
        return {**boundary, "Released": f"{_NOTHING_ELSE}its parameters, the constant weight 1 and its item counts."}
    return {
        **boundary,
        "Released": f"{_NOTHING_ELSE}masked integers, keys, sealed shares and that it took part.",
        "Not covered": f"{_BOUNDARY['Not covered']} {UNCOVERED}",
        "Masks": masks(plan.agreement),
    }


def _spent(worst: float, rdp: float, median: float) -> dict[str, float]:
    return {
        "epsilon": worst,
        "epsilon_rdp": rdp,
        "epsilon_worst_client": worst,
        "epsilon_median_client": median,
        "meaningful": worst < MEANINGLESS,
    }


def _claim(plan: PrivacyPlan, spent: Spent) -> str:
    level, worst, median = plan.unit.capitalize(), words(spent.worst.pld), words(spent.median.pld)
    return (
        f"{level}-level differential privacy with epsilon {worst} at delta {plan.claimed_delta:.4g} "
        f"({_accountant(plan, spent)}) for the units of the most exposed client, {median} for those of the median "
        "client."
    )


def _accountant(plan: PrivacyPlan, spent: Spent) -> str:
    if plan.agreement is not None and plan.agreement.noise == "skellam":
        return "RDP accountant, Agarwal, Kairouz and Liu 2021"
    check = "RDP, which knows no shuffler," if plan.mixed else "RDP"
    return f"PLD accountant; {check} gives {words(spent.worst.rdp)} as a check"


def _adjacency(plan: PrivacyPlan) -> str:
    one = "client (a platform with all its users)" if plan.unit == "platform" else _ONE[plan.unit]
    hidden = (
        "Who takes part in a round stays with the server"
        if plan.whole_population
        else "Who takes part in a round is not hidden"
    )
    return f"Adjacency is {plan.adjacency}: a neighbour {_NEIGHBOUR[plan.adjacency].format(one=one)}. {hidden}."


def _delta(plan: PrivacyPlan) -> str:
    failure = plan.claimed_delta - plan.delta
    masks_fail = f" {failure:.3g} of it is for masks that fail (see Masks), and noise has the rest." if failure else ""
    return (
        f"Delta, {plan.claimed_delta:.4g}, is the chance that the promise may fail outright. Publishing one of n units "
        "whole has delta 1/n, so delta must be smaller; by default it is min(n^-1.1, 0.01/n), at most a hundredth of "
        f"that.{masks_fail}"
    )


def _adversary(plan: PrivacyPlan, numbers: dict[str, Any]) -> str:
    if plan.mixed:
        return mixing(plan, words(numbers["shuffled"]["epsilon_without_shuffler"]))
    if plan.agreement is not None:
        return summing(plan.agreement)
    if plan.trust == "central":
        return noising(plan)
    own = " Each client is one user, so this is local differential privacy." if plan.own_client else ""
    return (
        f"Nobody else is trusted: each client clips every example's gradient to L2 norm {plan.clip_norm:g} and adds "
        f"Gaussian noise of {plan.noise_multiplier:.4g} times that to each step's sum (DP-SGD), so the claim holds "
        f"against the server, the other clients and whoever sees the models; a unit's own client sees its data.{own}"
    )


def _sampling(plan: PrivacyPlan) -> str:
    if plan.mixed:
        return HIDING
    rate = f"by its own secret coin (Poisson sampling, rate {plan.sampling_rate:g}), which amplifies privacy"
    amplifies, one = plan.sampling_rate < 1, _ONE[plan.unit]
    secret = {
        "poisson": f"Each {one} joins a round {rate}.",
        "without-replacement": f"Each round {plan.sampling_rate * plan.clients:.0f} of {plan.clients} clients take "
        "part, a number that is public; which ones is drawn anew and stays secret (sampling without replacement), "
        "which amplifies privacy.",
        "balls-in-bins": f"Each {one} is in exactly one of every {plan.epoch} rounds, drawn for itself in secret "
        "(random allocation, balls in bins), which amplifies privacy; how many are in a round stays secret, too.",
    }
    if plan.trust == "local":
        batches = f"joins a step's batch {rate}" if amplifies else "is in every batch, without amplification"
        return f"Each example {batches}; sampling clients (cohorts: {plan.cohorts}) does not, as every reply is seen."
    if amplifies:
        return secret[plan.draw]
    if plan.cohorts == "all":
        return f"Every {one} is in every round, without amplification."
    return "Cohorts have a fixed size, for which no amplification is claimed."


def _composition(plan: PrivacyPlan, numbers: dict[str, Any]) -> str:
    counted = 0 if plan.counts is None else 1
    rounds = (numbers["releases_per_unit"] - counted) // plan.steps
    once = ", and once for item counts" if counted else ""
    within = f"{rounds} rounds x {plan.steps} a round"
    if plan.epoch > 1:
        within = f"once in each of {rounds} epochs of {plan.epoch} rounds, one begun counting whole"
    if plan.filtered:
        within = f"{rounds} rounds at the clip norm, see Filters"
    return (
        f"Composed are {numbers['releases_per_unit']} releases of the most exposed unit's data ({within}{once}), "
        "charged when the work was sent, lost replies included."
    )


def _tradeoff(promised: Curve) -> str:
    others = ", ".join(f"{words(value)} at {delta:.4g}" for delta, value in promised.epsilons[1:])
    said = f"At other deltas, epsilon is {others}. " if others else ""
    if promised.tradeoff:
        least = dict(promised.tradeoff)
        misses = " and ".join(f"{math.floor(1000 * least[rate]) / 10:.1f} % at {rate:.0%}" for rate in (0.01, 0.1))
        said += (
            "Whoever guesses from all that is released whether a unit's data were used misses, of those that were, at "
            f"least {misses} of false positives. "
        )
    if math.isinf(promised.mu):
        return f"{said}No mu of Gaussian differential privacy is claimed."
    return (
        f"{said}But for a chance of delta, telling is no easier than telling a draw of N(0, 1) from one of "
        f"N({words(promised.mu)}, 1): mu of Gaussian differential privacy."
    )


def _groups(plan: PrivacyPlan, spent: Spent) -> dict[str, Any]:
    # Without one interaction, its own example is gone and the others that held it are replaced (one out, one in).
    size = plan.multiplicity
    return {
        "multiplicity": size,
        "epsilon_group": group_epsilon(spent.releases, size, plan.delta),
        "epsilon_interaction": group_epsilon(spent.releases, 2 * size - 1, plan.delta) if size > 1 else spent.worst.pld,
    }


def _multiplicity(groups: dict[str, Any]) -> str:
    size = groups["multiplicity"]
    if size == 1:
        return "An example is one user's whole sequence, so the claim holds at user level too."
    return (
        f"One interaction sits in up to {size} examples, so this is not interaction-level privacy: for all {size} as a "
        f"group there is {_guarantee(groups['epsilon_group'])}, for an interaction deleted and its examples rebuilt "
        f"(up to {2 * size - 1} changes) {_guarantee(groups['epsilon_interaction'])}, at the same delta."
    )


def _guarantee(value: float) -> str:
    return f"epsilon {words(value)}" if value < MEANINGLESS else "no meaningful guarantee"


def in_other_words(unit: str, value: float, delta: float) -> str:
    """Return what an epsilon means for one unit: the definition of differential privacy, said in a sentence."""
    one = _ONE.get(unit, unit)
    if value >= MEANINGLESS:
        return f"What can be seen may be far likelier with the data of one {one} than without: no meaningful guarantee."
    return (
        f"Whatever can be seen is at most {words(math.exp(value))} times (e to the epsilon) as likely with the data of "
        f"one {one} as without, and the other way round, but for a chance of {delta:.4g}."
    )


def words(value: float) -> str:
    """Return an epsilon for people, rounded up to three decimals so that it never promises too much."""
    return "infinity" if math.isinf(value) else f"{math.ceil(value * 1000) / 1000:.3f}"
