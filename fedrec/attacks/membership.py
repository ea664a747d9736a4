"""Was this user trained on? The likelihood-ratio attack LiRA (Carlini et al. 2022), a user as the unit.

Several models are trained, each user's data in half of them. A user's score under a model that is attacked is weighed
between its scores under the others, those that were trained on it and those that were not, each taken as Gaussian.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from fedrec.errors import ConfigError
from fedrec.seeding import rng_for

Scores = NDArray[np.float64]
Members = NDArray[np.bool_]

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


def draw_members(models: int, users: int, seed: int) -> Members:
    """Return who is in which model's training data, `[models, users]`: each user in half of the models, a named draw.

    Raises:
        ConfigError: If `models` is odd or below 4: each side of a user needs a model beside the one attacked.
    """
    if models < 4 or models % 2:
        message = f"the membership attack needs an even number of models, at least 4, got {models}"
        raise ConfigError(message)
    order = rng_for(seed, "members").random((models, users)).argsort(axis=0)
    return order < models // 2


def log_ratios(scores: Scores, members: Members) -> Scores:
    """Return each user's log likelihood ratio, in over out, under each model in turn, `[models, users]`.

    The mean is a user's own, from the other models; the deviation is one for all users and one for each side, because
    a few models tell no user's apart (Carlini et al. 2022, section VI).

    Args:
        scores: How well each model knows each user, such as minus the loss, `[models, users]`.
        members: Who was trained on, of the same shape; each user twice at least on either side (see `draw_members`).
    """
    models, _ = scores.shape
    sides = []
    for side in (members, ~members):
        means = [_mean(np.delete(scores, model, 0), np.delete(side, model, 0)) for model in range(models)]
        spread = (scores - _mean(scores, side)) ** 2
        degrees = max(1, int(side.sum() - scores.shape[1]))
        deviation = max(float(np.sqrt(np.sum(spread, where=side) / degrees)), _SMALLEST_DEVIATION)
        sides.append(norm.logpdf(scores, np.stack(means), deviation))
    ratios: Scores = sides[0] - sides[1]
    return ratios


def attack_power(ratios: Scores, members: Members) -> Membership:
    """Return how well a threshold on the ratios, the same for all, tells members from others; arrays of one shape."""
    inside, outside = np.sort(ratios[members]), np.sort(ratios[~members])
    if not (len(inside) and len(outside)):
        return Membership(float("nan"), float("nan"), ratios.size)
    ranks = rankdata(np.concatenate((inside, outside)))[: len(inside)]
    auc = (ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside))
    accused = len(outside) // 100  # 1 % of them, rounded down: the next one sets the threshold
    found = np.mean(inside > outside[len(outside) - 1 - accused])
    return Membership(float(auc), float(found), ratios.size)


def _mean(scores: Scores, side: Members) -> Scores:
    mean: Scores = np.mean(scores, axis=0, where=side)
    return mean
