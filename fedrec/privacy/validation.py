"""What validation users are promised where they are no volunteers, and what may be asked of them for it.

Nobody both trains and validates, so each user pays for one of the two alone: parallel composition. What training
releases is a function of training users' data, and how it is scored a function of that release and of the validation
users'. A ledger of its own says what the latter paid.

What is asked is known before the run (`ValidationPlan.asked`), one bounded vector a validation user and question. All
questions together are calibrated to `evaluation.private.epsilon`: Gaussian sums over everybody, the mechanism of
`fedrec.privacy.accounting.prices` at rate 1. A neighbour lacks one validation user's data, or has other data of one,
and how many there are is public.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from fedrec.experiment.config import Experiment
from fedrec.experiment.privacy import Adjacency
from fedrec.privacy.accounting.delta import delta_for
from fedrec.privacy.accounting.prices import Release, calibrate
from fedrec.privacy.ledger import Ledger

Question = Literal["base loss", "loss change", "metrics", "ranks", "gains"]
"""The mean loss of the base, how a round's differs from it, means of ranking metrics, a histogram of ranks; and what
candidates for a result gain over the first of them."""

Form = Literal["mean", "histogram"]


@dataclass(frozen=True)
class _Questions:
    """What one form asks: of the base, of a round to pick it, and to tell how lists are ranked."""

    base: Question
    picking: Question
    ranking: Question


_FORMS: Mapping[Form, _Questions] = {
    "mean": _Questions("base loss", "loss change", "metrics"),
    "histogram": _Questions("ranks", "ranks", "ranks"),
}


@dataclass(frozen=True)
class ValidationPlan:
    """What is released of the validation users.

    Args:
        users: How many there are, with or without data; 0 for volunteers, whose number decides nothing.
        epsilon: Target for all questions together; inf for volunteers, of whom everything may be published.
        delta: Chance of failure; 0 for volunteers.
        noise_multiplier: Noise over the bound of one user's vector, the same for every question; 0 for volunteers.
        form: How scores are published.
        adjacency: What a neighbour has of one validation user.
        change_bound: Nats by which one user's loss may lie from the base's.
        asked: What is asked of round 0 (the base), of each round, and last of the result; empty for volunteers.
    """

    users: int = 0
    epsilon: float = inf
    delta: float = 0.0
    noise_multiplier: float = 0.0
    form: Form = "mean"
    adjacency: Adjacency = "zero-out"
    change_bound: float = inf
    asked: tuple[tuple[Question, ...], ...] = ()

    @property
    def private(self) -> bool:
        """Whether validation users are promised anything."""
        return isfinite(self.epsilon)

    @property
    def result(self) -> int:
        """The number under which the finished result is asked about: one after the last round's."""
        return len(self.asked) - 1

    @property
    def count(self) -> int:
        """Questions in the whole run, at most: a budget may end it earlier."""
        return sum(map(len, self.asked))

    @property
    def releases(self) -> tuple[Release, ...]:
        """All kinds of release that a ledger of this plan may hold, one for each number of questions at once."""
        return tuple(self._release(count) for count in sorted({len(asked) for asked in self.asked if asked}))

    def charge(self, ledger: Ledger, number: int) -> Ledger:
        """Return the ledger when all that is asked under a number has been paid; unchanged if nothing is.

        Args:
            ledger: What validation users paid so far.
            number: Of a round, from 0, or `result`.
        """
        if not self.private or not self.asked[number]:
            return ledger
        return ledger.charge(number, [None], self._release(len(self.asked[number])))

    def _release(self, count: int) -> Release:
        return Release(self.noise_multiplier, count=count, of="validation scores", adjacency=self.adjacency)


def validation_plan(experiment: Experiment, users: int) -> ValidationPlan:
    """Return what may be asked of private validation users, its noise calibrated.

    Args:
        experiment: A checked one (see `fedrec.privacy.checks.check`), with a finite `evaluation.private.epsilon`.
        users: Validation users, at least 1.

    Raises:
        PrivacyError: If delta is not below 1 / n for the n users, or no noise meets epsilon.
    """
    private = experiment.evaluation.private
    adjacency, asked = experiment.privacy.adjacency, _asked(experiment)
    delta = delta_for(private.delta, users, "evaluation.private.delta")
    return ValidationPlan(
        users=users,
        epsilon=private.epsilon,
        delta=delta,
        noise_multiplier=calibrate(private.epsilon, delta, 1.0, sum(map(len, asked)), adjacency=adjacency),
        form=private.form,
        adjacency=adjacency,
        change_bound=private.change_bound,
        asked=asked,
    )


def _asked(experiment: Experiment) -> tuple[tuple[Question, ...], ...]:
    """Return what each number asks: what picks a round only where a round is picked, or ranked anyway."""
    form, best = _FORMS[experiment.evaluation.private.form], experiment.evaluation.select == "best"

    def of_round(number: int) -> tuple[Question, ...]:
        if experiment.ranks(number):
            return tuple(dict.fromkeys((form.picking if number else form.base, form.ranking)))
        return (form.picking,) if best else ()

    gains: tuple[Question, ...] = ("gains",) if experiment.privacy.item_counts.share else ()
    return (*map(of_round, range(experiment.rounds + 1)), (*gains, form.ranking))
