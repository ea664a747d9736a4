"""How sure we are of a recommender that was trained several times: over users, user splits, and seeds inside of these.

What is estimated is the mean of a metric over people like the data's, for a model trained on a random share of them
with a random seed. Test users of one split are nested in it, but every split deals out the same people anew, so that a
user can be a test user of several: users are crossed with splits. With `m_k` the mean over the `n_k` users of split
`k`, each user's value there being its mean over seeds, the estimate is the mean of the `K` numbers `m_k`. Its variance
has two parts.

- **Users**, each with all its appearances as one cluster (Field and Welsh 2007; Cameron, Gelbach and Miller 2011):
  `U = sum over users of (sum of its residuals y - m_k, each over K n_k)^2`, with `n_k - 1` for one `n_k`. Its part `W`
  is what the same residuals give one at a time, and `C = U - W` what splits share through their users.
- **Training**: what splits differ by beyond their users. With `B = var(m_k) / K`, of which users alone explain
  `W - C / (K - 1)`, it is `A = max(0, B - W + C / (K - 1))`: without bias where it is not cut off at 0.

The interval is Student's, with `U + A` and degrees of freedom after Satterthwaite (1946):
`(U + A)^2 / (U^2 / (n - 1) + B^2 / (K - 1))`, `n` the fewest users of a split. So it is wide where few splits say most
of what is known: take three or more. One split with several seeds has the seeds in the place of the splits; one model
alone has no `A`, and nothing is said of what another training would give.

Considered and not taken: Owen's pigeonhole bootstrap (2007), which counts residuals three times, and for which five
splits are few to draw from; Student's t over the `m_k` alone, which forgets that they share users; Nadeau and Bengio's
correction for overlapping training sets (2003), which puts one guess, test over training users, into the place of all
that splits share, and is a third to a half wider with five splits. What people who are not in the data would change in
*training* is in none of them: splits of the same people cannot tell (Bengio and Grandvalet 2004). Nor is what a seed
does to all splits alike.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from fedrec.data.interactions import IntArray
from fedrec.evaluation.statistics.significance import SIGNIFICANT, FloatArray, Interval, holm, minimal_difference

Range = tuple[float, float]
EVERYTHING: Range = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Scored:
    """What the test users of one trained model got.

    Attributes:
        split: Which split; the same name means the same test users.
        seed: Which of the models that were trained on it.
        users: User of each value, `[n]`: of one data set in all splits.
        values: One value a user, `[n]`; nan for a user who has none.
    """

    split: str
    seed: int
    users: IntArray
    values: FloatArray


@dataclass(frozen=True)
class Estimate:
    """A mean over users, splits and seeds.

    Attributes:
        mean: The mean over splits of the mean over users; nan without any value.
        error: Its standard error; nan where one value cannot give any.
        degrees: Degrees of freedom of Student's t; infinite where the error is 0.
        users: How many different users it is over.
        splits: How many splits.
        seeds: How many different seeds.
        within: The least and the largest value that the mean can have, beyond which no bound goes.
    """

    mean: float
    error: float
    degrees: float
    users: int
    splits: int
    seeds: int
    within: Range = EVERYTHING

    @cached_property
    def interval(self) -> Interval:
        """The mean with its 95 % interval; without bounds where there is no standard error."""
        half = float(stats.t.ppf(1 - SIGNIFICANT / 2, self.degrees)) * self.error
        if math.isnan(half):
            return Interval(self.mean, math.nan, math.nan)
        least, most = self.within
        return Interval(self.mean, max(least, self.mean - half), min(most, self.mean + half))

    @property
    def p_value(self) -> float:
        """Of the two-sided test whether the mean is 0: below 5 % where the interval leaves 0 out.

        1 where nothing differs, nan without a standard error.
        """
        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.degrees))

    @property
    def minimal_difference(self) -> float:
        """The least true mean that a two-sided test at 5 % tells from 0 with 80 % power; nan without an error."""
        return minimal_difference(self.error, self.degrees)

    def to_json(self) -> dict[str, float]:
        """Return mean, `low`, `high`, `standard_error` and `users` for programs."""
        found = self.interval
        ends = {"mean": found.mean, "low": found.low, "high": found.high}
        return {**ends, "standard_error": self.error, "users": self.users}


NOTHING = Estimate(math.nan, math.nan, math.nan, 0, 0, 0)


@dataclass(frozen=True)
class Difference:
    """One recommender less another.

    Attributes:
        found: The mean difference.
        p_holm: Its p-value, corrected for all comparisons made together.
    """

    found: Estimate
    p_holm: float

    def to_json(self) -> dict[str, float]:
        """Return the same for programs, with `p_value`, `p_holm` and `minimal_difference`."""
        tested = {"p_value": self.found.p_value, "p_holm": self.p_holm}
        return {**self.found.to_json(), **tested, "minimal_difference": self.found.minimal_difference}


def estimate(scored: Iterable[Scored], within: Range = EVERYTHING) -> Estimate:
    """Return the mean over users, splits and seeds (see the module's docstring); `NOTHING` without any value.

    Args:
        scored: One entry a trained model. Users whose value is nan are left out.
        within: The values that the metric can have (`fedrec.metrics.accuracy.range_of`).

    Raises:
        ValueError: If two models of one split have different users.
    """
    models = [known for one in scored if len((known := _known(one)).users)]
    if not models:
        return NOTHING
    splits = list(dict.fromkeys(model.split for model in models))
    seeds = len({model.seed for model in models})
    groups = [_mean_over_seeds([model for model in models if model.split == split]) for split in splits]
    replicates = groups if len(groups) > 1 else models
    mean, error, degrees = _variance(replicates)
    users = len(np.unique(np.concatenate([group.users for group in groups])))
    return Estimate(mean, error, degrees, users, len(splits), seeds, within)


def paired(first: Sequence[Scored], second: Sequence[Scored]) -> list[Scored]:
    """Return what the first got less what the second got, user by user, for each split and seed that both have.

    Raises:
        ValueError: If the two have different users in one split.
    """
    others = {(other.split, other.seed): other for other in second}
    found = []
    for one in first:
        if (other := others.get((one.split, one.seed))) is not None:
            _require_same_users(one, other)
            found.append(Scored(one.split, one.seed, one.users, one.values - other.values))
    return found


def compare_all(pairs: Sequence[tuple[Sequence[Scored], Sequence[Scored]]], within: Range) -> list[Difference]:
    """Return the first of each pair less the second, Holm-corrected over all pairs that have a p-value.

    Args:
        pairs: What is compared with what, by `paired`.
        within: The values that the metric can have; a difference lies between plus and minus their distance.
    """
    width = within[1] - within[0]
    found = [estimate(paired(first, second), (-width, width)) for first, second in pairs]
    tested = [one.p_value for one in found if not math.isnan(one.p_value)]
    corrected = iter(holm(tested))
    return [Difference(one, math.nan if math.isnan(one.p_value) else next(corrected)) for one in found]


def _known(scored: Scored) -> Scored:
    known = ~np.isnan(scored.values)
    return Scored(scored.split, scored.seed, scored.users[known], scored.values[known])


def _mean_over_seeds(models: Sequence[Scored]) -> Scored:
    for model in models[1:]:
        _require_same_users(models[0], model)
    return Scored(models[0].split, 0, models[0].users, np.mean([model.values for model in models], axis=0))


def _require_same_users(one: Scored, other: Scored) -> None:
    if not np.array_equal(one.users, other.users):
        message = (
            f"split {one.split} has {len(one.users)} test users with seed {one.seed} and {len(other.users)}, or "
            f"others, with seed {other.seed}; give models of one split the same users, in the same order"
        )
        raise ValueError(message)


def _variance(groups: Sequence[Scored]) -> tuple[float, float, float]:
    """Return mean, standard error and degrees of freedom; the last two are nan for a group of one user."""
    count, fewest = len(groups), min(len(group.users) for group in groups)
    means = np.array([group.values.mean() for group in groups])
    mean = float(means.mean())
    if fewest < 2:
        return mean, math.nan, math.nan
    residuals = np.concatenate(
        [(group.values - group.values.mean()) / math.sqrt((size := len(group.values)) * (size - 1)) for group in groups]
    )
    residuals /= count
    _, user = np.unique(np.concatenate([group.users for group in groups]), return_inverse=True)
    of_users, alone = float(np.square(np.bincount(user, residuals)).sum()), float(np.square(residuals).sum())
    if count == 1:
        return mean, math.sqrt(of_users), fewest - 1
    between = float(means.var(ddof=1)) / count
    training = max(0.0, between - alone + (of_users - alone) / (count - 1))
    total = of_users + training
    spread = of_users**2 / (fewest - 1) + between**2 / (count - 1)
    return mean, math.sqrt(total), total**2 / spread if spread else math.inf
