"""What may be claimed for the best of a number of trials that was drawn in secret.

Its price is that of `fedrec.privacy.accounting.tuning`.

The price is that of every setting that might have been picked, at the most that a unit's data might have gone into. So
it is known before the first trial runs, and tells nothing of those that did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import Release
from fedrec.privacy.accounting.trial_draw import Draw
from fedrec.privacy.accounting.tuning import epsilon_of_best
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.statement.statement import words

MOST_FAILURE = 0.5
"""Largest share of delta that the masks of all trials may take."""


@dataclass(frozen=True)
class TuningClaim:
    """The claim for all that a sweep publishes.

    Attributes:
        draw: How many trials were expected, and by which law.
        settings: How many might be picked.
        unit: What neighbours differ in.
        adjacency: How.
        epsilon: Of the best trial.
        delta: The same as that of the trial with the least.
    """

    draw: Draw
    settings: int
    unit: str
    adjacency: str
    epsilon: float
    delta: float

    @property
    def text(self) -> str:
        """The claim in a paragraph."""
        return (
            f"{self.unit.capitalize()}-level differential privacy with epsilon {words(self.epsilon)} at delta "
            f"{self.delta:.4g} (adjacency {self.adjacency}; Papernot and Steinke 2022, by Renyi divergences) for all "
            f"that lies in this folder: the best of a number of trials that was drawn in secret by the {self.draw.law} "
            f"law with mean {self.draw.mean:g}, each a setting picked uniformly from {self.settings}, with replacement "
            "and with noise of its own, judged by users who consented. A run's own statement, in best/, is about one "
            "run whose settings were fixed beforehand: here this one holds instead. It holds as long as nobody learns "
            "of the other trials, nor how many there were."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the claim for programs."""
        return {
            "unit": self.unit,
            "adjacency": self.adjacency,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "law": self.draw.law,
            "trials_mean": self.draw.mean,
            "settings": self.settings,
            "statement": self.text,
        }


def tuning_claim(draw: Draw, plans: Sequence[PrivacyPlan]) -> TuningClaim:
    """Return the claim of a draw from settings with these plans.

    Masks of secure sums fail by chance and not by data, each trial by itself: all of them together with a chance of the
    expected number of trials times the largest, at most, which is taken off delta.

    Args:
        draw: How many trials are expected.
        plans: Of each setting, at least one, all with privacy, one unit and one adjacency.

    Raises:
        PrivacyError: If masks leave too little of delta.
    """
    delta = min(plan.claimed_delta for plan in plans)
    failure = draw.mean * max(plan.claimed_delta - plan.delta for plan in plans)
    if failure > MOST_FAILURE * delta:
        message = (
            f"the masks of {draw.mean:g} expected trials may fail with a chance of {failure:.3g} in all, more than "
            f"half of delta {delta:.3g}; expect fewer trials, or set privacy.trust=central"
        )
        raise PrivacyError(message)
    epsilon = epsilon_of_best([whole_run(plan) for plan in plans], draw.mean, draw.law, delta - failure)
    return TuningClaim(draw, len(plans), plans[0].unit, plans[0].adjacency, epsilon, delta)


def whole_run(plan: PrivacyPlan) -> tuple[Release, ...]:
    """Return the most that a unit's data goes into in a run of this plan."""
    rounds = replace(plan.release, count=plan.count)
    return (rounds,) if plan.counts is None else (rounds, plan.counts.release)
