"""What a whole sweep costs in privacy: its trials were trained on the same users, so they compose.

The bound is basic composition (Dwork and Roth 2014, theorem 3.16): epsilons and deltas add up. Beside it stands the
epsilon of all releases together at that same delta, which is tighter, and beside both what a design would have cost
that this one was not: a random number of trials, of which only the best is published
(`fedrec.privacy.accounting.tuning`).

Composition is of mechanisms whose noise is independent, and each run draws a key of its own for it. Two private trials
with one seed and a fixed `privacy.noise_key` have the same noise but for its scale: whoever holds both can cancel it.
That makes trials comparable, which is what a simulation is for; as a release it promises nothing.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.accounting.tuning import LAWS, epsilon_of_best
from fedrec.privacy.statement.statement import words
from fedrec.reporting.frontier.points import TrialResult
from fedrec.reporting.wording import get_path, number

VALIDATION_USER = "validation user"
"""What a neighbour lacks in the claim for validation users who are no volunteers."""

MOST_KINDS = 64
"""Different releases that are composed exactly; more of them take minutes."""

Exposure = Mapping[str, tuple[Release, ...]]
"""Fingerprint of a trial -> the most that a unit's data went into; what is not known is left out."""


@dataclass(frozen=True)
class Composed:
    """All private trials with one unit, as if each had noise of its own.

    Attributes:
        trials: How many.
        epsilon: Sum of their claims.
        delta: Sum of their deltas.
        tighter: Epsilon of all their releases together at that delta; nan where it is not known.
        best: Law -> epsilon of the best alone at `best_delta`, had as many trials been expected instead of fixed, their
            number drawn by this law; empty where it is not known.
        best_delta: The least delta of a trial.
    """

    trials: int
    epsilon: float
    delta: float
    tighter: float
    best: Mapping[str, float]
    best_delta: float


@dataclass(frozen=True)
class Cost:
    """What a sweep costs: `units` by what a neighbour adds or removes, trials by what can be said of them.

    Attributes:
        units: Unit -> its private trials, composed.
        open_trials: Finished trials without privacy.
        unfinished: Trials that claim nothing yet.
        shared: Private trials that share their seed, and with it their noise, with another.
        splits: User splits of the private trials.
    """

    units: Mapping[str, Composed]
    open_trials: int
    unfinished: int
    shared: int
    splits: int = 1

    @property
    def promises(self) -> bool:
        """Whether anything is promised if all finished trials are released as they are."""
        return not self.open_trials and not self.shared and self.splits <= 1

    def to_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "units": {
                unit: {
                    "trials": of.trials,
                    "epsilon_sum": of.epsilon,
                    "delta_sum": of.delta,
                    "epsilon_composed": None if math.isnan(of.tighter) else of.tighter,
                    "epsilon_if_all_released": of.epsilon if self.promises else math.inf,
                    "epsilon_of_best_had_trials_been_drawn": dict(of.best),
                    "delta_of_best": of.best_delta,
                }
                for unit, of in self.units.items()
            },
            "trials_without_privacy": self.open_trials,
            "trials_unfinished": self.unfinished,
            "trials_sharing_noise": self.shared,
            "splits_of_private_trials": self.splits,
            "statement": " ".join(self.sentences()),
        }

    def sentences(self) -> list[str]:
        """Return the cost in words, a paragraph an entry."""
        told = []
        if self.units:
            told.append(
                "Trials on the same users compose: what one of them reveals about a person adds to what the others "
                "reveal. "
                + " ".join(_sum(unit, of) for unit, of in self.units.items())
                + " Publishing only the best trial is no cheaper, if it was chosen by looking at what the others made; "
                "that volunteers judged them changes nothing for those whose data trained them."
            )
            told += [_drawn(unit, of) for unit, of in self.units.items() if of.best]
        if self.shared:
            told.append(
                f"That sum needs noise of its own in every trial, and {self.shared} private trials here share a seed "
                "and a fixed privacy.noise_key, and with them their noise, with another: whoever holds two of them can "
                "cancel it. Such trials are good for comparing, which is what a simulation does. Released together as "
                "they are, they promise nothing: epsilon is infinity. Leave privacy.noise_key out of what is to be "
                "released."
            )
        if self.splits > 1:
            told.append(
                f"The private trials have {self.splits} user splits, which deal out the same people anew: a "
                "training user of one, who is protected there, is a volunteer in another, who is judged exactly. Such "
                "trials are good for measuring, which is what a simulation does. Released together they promise "
                "nothing: epsilon is infinity. Keep one split_seed in what is to be released."
            )
        if self.open_trials:
            told.append(
                f"{_trials(self.open_trials)} trained without privacy, for comparison; releasing any of them protects "
                "nobody."
            )
        if self.unfinished:
            told.append(f"{_trials(self.unfinished)} did not finish; what they spent so far is not in these numbers.")
        return told or ["No trial has finished, so nothing was claimed yet."]


def cost_of(results: Sequence[TrialResult], exposure: Exposure) -> Cost:
    """Return the cost of releasing all finished trials."""
    finished = [result for result in results if result.summary is not None]
    private = [result for result in finished if math.isfinite(result.spent)]
    fixed = [result for result in private if get_path(result.summary, "privacy", "noise_key") == "fixed"]
    seeds = Counter(result.seed for result in fixed)
    units = dict.fromkeys(str(get_path(result.summary, "privacy", "unit")) for result in private)
    composed = {
        unit: _composed([r for r in private if get_path(r.summary, "privacy", "unit") == unit], exposure)
        for unit in units
    }
    return Cost(
        units=composed | _of_validation_users(private),
        open_trials=len(finished) - len(private),
        unfinished=len(results) - len(finished),
        shared=sum(count for count in seeds.values() if count > 1),
        splits=len({result.split for result in private}),
    )


def _of_validation_users(results: Sequence[TrialResult]) -> dict[str, Composed]:
    """Return what trials tell of the same private validation users, in sum; nothing where all are volunteers."""
    claims = [claim for result in results if (claim := get_path(result.summary, "privacy", "validation"))]
    if not claims:
        return {}
    spent, deltas = ([number(claim[key]) for claim in claims] for key in ("epsilon", "delta"))
    return {VALIDATION_USER: Composed(len(claims), math.fsum(spent), math.fsum(deltas), math.nan, {}, min(deltas))}


def _composed(results: Sequence[TrialResult], exposure: Exposure) -> Composed:
    deltas = [number(get_path(result.summary, "privacy", "delta")) for result in results]
    delta, total = math.fsum(deltas), math.fsum(result.spent for result in results)
    grid = [exposure[result.fingerprint] for result in results if result.fingerprint in exposure]
    releases = [release for trial in grid for release in trial]
    if len(grid) < len(results) or len(set(releases)) > MOST_KINDS or not 0 < delta < 1:
        return Composed(len(results), total, delta, math.nan, {}, min(deltas))
    best = {law: epsilon_of_best(grid, len(grid), law, min(deltas)) for law in LAWS}
    return Composed(len(results), total, delta, epsilon(releases, delta).pld, best, min(deltas))


def _sum(unit: str, of: Composed) -> str:
    tighter = "" if math.isnan(of.tighter) else f", and composing their ledgers gives {words(of.tighter)}"
    return (
        f"If {_trials(of.trials)} with {unit}-level privacy were all released, each with noise of its own, the "
        f"worst case for one {_one(unit)} would be epsilon {words(of.epsilon)} at delta {of.delta:.4g}: the claims add "
        f"up{tighter}."
    )


def _drawn(unit: str, of: Composed) -> str:
    law = min(of.best, key=lambda law: of.best[law])
    return (
        f"Another design would have cost epsilon {words(of.best[law])} at delta {of.best_delta:.4g} for one "
        f"{_one(unit)}: the number of trials drawn in secret by the {law} law with mean {of.trials}, each a setting "
        "picked from these uniformly, with replacement and noise of its own, and nothing published but the best "
        "(Papernot and Steinke 2022). The trials of this sweep were fixed, so that price is not theirs."
    )


def _one(unit: str) -> str:
    return "training example" if unit == "example" else unit


def _trials(count: int) -> str:
    return f"{count} trial" if count == 1 else f"{count} trials"
