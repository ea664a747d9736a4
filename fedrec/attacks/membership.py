"""Was this user trained on? The likelihood-ratio attack LiRA (Carlini et al. 2022), a user as the unit.

Several models are trained in pairs, each user's data in one of each pair. A user's score under a model that is attacked
is weighed between its scores under the other pairs' models, those that were trained on it and those that were not, each
taken as Gaussian. The attacked model's own pair is left out, so that both sides have as many models: otherwise the side
it is not on has one more and the surer mean, to which users then seem to belong (with four models that have learnt
nothing of anybody the AUC is 0.42).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from fedrec.attacks.roc import auc, tpr_at_1_percent
from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.evaluation.statistics.significance import Interval

Scores = NDArray[np.float64]
Members = NDArray[np.bool_]

RESAMPLES = 1000

_SMALLEST_DEVIATION = 1e-12


@dataclass(frozen=True)
class Membership:
    """How well members are told from others.

    Attributes:
        auc: Chance that a member looks more like one than somebody who is none: 0.5 for a guess; nan without both.
        tpr_at_1_percent: Share of the members found when at most 1 % of the others are accused; nan without both.
        decisions: Number of (model, user) pairs that were judged.
    """

    auc: float
    tpr_at_1_percent: float
    decisions: int


def require_models(models: int) -> None:
    """Do nothing if so many models can be attacked.

    Raises:
        ConfigError: If they are odd or below 4: each side of a user needs a model beside the one attacked.
    """
    if models < 4 or models % 2:
        message = f"the membership attack needs an even number of models, at least 4, got {models}; set --models"
        raise ConfigError(message)


def draw_members(models: int, users: int, seed: int) -> Members:
    """Return who is in which model's training data, `[models, users]`: a named draw.

    Each user is in one of models 0 and 1, one of 2 and 3, and so on, by fair coins.

    Raises:
        ConfigError: As `require_models` does.
    """
    require_models(models)
    first = rng_for(seed, "members").random((models // 2, users)) < 0.5
    return np.stack((first, ~first), axis=1).reshape(models, users)


def log_ratios(scores: Scores, members: Members) -> Scores:
    """Return each user's log likelihood ratio, in over out, under each model in turn, `[models, users]`.

    The mean is a user's own, from the other models; the deviation is one for all users and one for each side, because
    a few models tell no user's apart (Carlini et al. 2022, section VI).

    Args:
        scores: How well each model knows each user, such as minus the loss, `[models, users]`.
        members: Who was trained on, of the same shape, in pairs (see `draw_members`).
    """
    models, _ = scores.shape
    sides = []
    for side in (members, ~members):
        pairs = [slice(first, first + 2) for first in range(0, models, 2)]
        means = [_mean(np.delete(scores, pair, 0), np.delete(side, pair, 0)) for pair in pairs]
        spread = (scores - _mean(scores, side)) ** 2
        degrees = max(1, int(side.sum() - scores.shape[1]))
        deviation = max(float(np.sqrt(np.sum(spread, where=side) / degrees)), _SMALLEST_DEVIATION)
        sides.append(norm.logpdf(scores, np.repeat(means, 2, axis=0), deviation))
    ratios: Scores = sides[0] - sides[1]
    return ratios


def attack_power(ratios: Scores, members: Members) -> Membership:
    """Return how well a threshold on the ratios, the same for all, tells members from others; arrays of one shape."""
    inside, outside = ratios[members], ratios[~members]
    return Membership(auc(inside, outside), tpr_at_1_percent(inside, outside), ratios.size)


def power_intervals(ratios: Scores, members: Members, seed: int) -> tuple[Interval, Interval]:
    """Return AUC and TPR at 1 % FPR with percentile bootstrap intervals (95 %) over users, each with all its models.

    A user's decisions under several models are not independent, users are nearly so; none gives nan, one no bounds.
    """
    found, users = attack_power(ratios, members), ratios.shape[1]
    if users < 2:
        return Interval(found.auc, np.nan, np.nan), Interval(found.tpr_at_1_percent, np.nan, np.nan)
    rng = rng_for(seed, "attack bootstrap")
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(users, size=users)
        again = attack_power(ratios[:, rows], members[:, rows])
        drawn.append((again.auc, again.tpr_at_1_percent))
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    return (
        Interval(found.auc, float(low[0]), float(high[0])),
        Interval(found.tpr_at_1_percent, float(low[1]), float(high[1])),
    )


def _mean(scores: Scores, side: Members) -> Scores:
    mean: Scores = np.mean(scores, axis=0, where=side)
    return mean
