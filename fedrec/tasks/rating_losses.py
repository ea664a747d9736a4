"""What the error of a predicted rating is in training, and what a score predicts.

A score moves a latent rating, `centre + score`, on the scale of the values. The squared error takes it as the
prediction. The cross-entropy is that of ordered levels (McCullagh 1980; of ratings Koren & Sill 2011): a logistic
deviation of the latent rating, cut half-way between neighbouring levels, gives each level a probability; the prediction
is the mean level.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import logsigmoid

from fedrec.core.errors import ConfigError

STARS = "1, 2, 3, 4, 5"

SPREAD = 0.5
"""A logistic deviation of this scale has a standard deviation of 0.9: about that of stars around a good prediction."""

Values = NDArray[np.floating]


class RatingLoss(Protocol):
    """How scores and ratings are compared."""

    def losses(self, scores: Float[Tensor, "*shape"], ratings: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the loss of each score; finite for any rating, since padding has one, too."""
        ...

    def predicted(self, scores: Values) -> Values:
        """Return the rating that each score predicts."""
        ...

    def require(self, ratings: Values) -> None:
        """Raise a ConfigError if such ratings cannot be learnt."""
        ...


class SquaredError:
    """The squared error of `centre + score`."""

    def __init__(self, centre: float) -> None:
        self.centre = centre

    def losses(self, scores: Tensor, ratings: Tensor) -> Tensor:
        """Return the square of each error."""
        return (self.centre + scores - ratings).square()

    def predicted(self, scores: Values) -> Values:
        """Return `centre + score`."""
        return self.centre + scores

    def require(self, ratings: Values) -> None:
        """Take any rating."""


class CrossEntropy:
    """The cross-entropy of ordered levels, in nats; a rating between two levels counts as the nearer one.

    Args:
        centre: The latent rating at a score of 0.
        levels: All values that a rating can have, ascending, at least two.
        spread: Scale of the logistic deviation, above 0, in units of the values.
    """

    def __init__(self, centre: float, levels: Sequence[float], spread: float) -> None:
        self.centre, self.levels, self.spread = centre, np.array(levels), spread
        self.borders = (self.levels[1:] + self.levels[:-1]) / 2
        self._edges = [-math.inf, *self.borders.tolist(), math.inf]

    def losses(self, scores: Tensor, ratings: Tensor) -> Tensor:
        """Return `-log P(level)` of each rating.

        With `a` and `b` the distances of a level's upper and lower border from the latent rating, in spreads,
        `log(sigmoid(a) - sigmoid(b)) = logsigmoid(a) + logsigmoid(-b) + log(1 - exp(b - a))`, which loses no digits.
        """
        edges = torch.tensor(self._edges, dtype=scores.dtype, device=scores.device)
        level = (ratings.unsqueeze(-1) > edges[1:-1]).sum(dim=-1)
        upper, lower = edges[1:], edges[:-1]
        width = torch.log1p(-torch.exp((lower - upper) / self.spread))
        above, below = ((edge[level] - self.centre - scores) / self.spread for edge in (upper, lower))
        return -(logsigmoid(above) + logsigmoid(-below) + width[level])

    def predicted(self, scores: Values) -> Values:
        """Return the mean level: the lowest, and each step up times the probability of being above its border."""
        beyond = expit((self.centre + scores[..., np.newaxis] - self.borders) / self.spread)
        return np.asarray(self.levels[0] + beyond @ np.diff(self.levels), dtype=np.float64)

    def require(self, ratings: Values) -> None:
        """Refuse ratings that are none of the levels.

        Raises:
            ConfigError: If there are any; it names one.
        """
        strange = ratings[~np.isclose(ratings[:, np.newaxis], self.levels).any(axis=1)]
        if len(strange):
            message = (
                f"task.options.levels = {', '.join(f'{level:g}' for level in self.levels)}: a held-out user has a "
                f"rating of {strange[0]:g}; name all values that a rating can have, ascending"
            )
            raise ConfigError(message)


def rating_loss(name: str, centre: float, levels: str | None, spread: float | None) -> RatingLoss:
    """Return the loss of this name.

    Args:
        name: "squared_error" or "cross_entropy".
        centre: The latent rating at a score of 0.
        levels: Numbers with commas between them; 1 to 5 stars by default. They are never read from training rows:
            which values occur there is private.
        spread: Of the cross-entropy; `SPREAD` by default.

    Raises:
        ConfigError: If there is no such loss, or what it is given does not fit it.
    """
    if name == "squared_error":
        if levels is not None or spread is not None:
            message = 'task.options.levels and spread are for task.options.loss = "cross_entropy"; leave them out'
            raise ConfigError(message)
        return SquaredError(centre)
    if name != "cross_entropy":
        message = f"task.options.loss = {name!r}: should be 'squared_error' or 'cross_entropy'"
        raise ConfigError(message)
    spread = SPREAD if spread is None else spread
    if isinstance(spread, bool | str) or not 0 < spread < math.inf:
        message = f"task.options.spread = {spread!r}: should be a finite number above 0, in units of the ratings"
        raise ConfigError(message)
    return CrossEntropy(centre, _levels(STARS if levels is None else levels), float(spread))


def _levels(text: str) -> list[float]:
    try:
        found = [float(level) for level in text.split(",")]
    except (AttributeError, ValueError):
        found = []
    if len(found) < 2 or not np.isfinite(found).all() or not (np.diff(found) > 0).all():
        message = f'task.options.levels = {text!r}: should be at least two ascending numbers, such as "{STARS}"'
        raise ConfigError(message)
    return found
