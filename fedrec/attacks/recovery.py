"""Which items has this user? Read off the user's update, as a server that follows the protocol but is curious may.

Training pushes up the scores of the items that a user went on to choose and down those of all others, so the items are
ranked by what the update does to them. Where each item's bias is trained and travels, its change says it outright;
elsewhere the change of the items' mean score after neutral histories does, which to first order is how well the update
matches the gradient that each item alone would give (Zhu et al. 2019).

A popular item is guessed without any update. An adversary who knows popularity weighs both: it learns from other users,
whose items it knows, how much an update tells beside it (shadow users, Shokri et al. 2017).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from fedrec.attacks.roc import auc
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.models.adapters import load_parameters_
from fedrec.models.recommender import ITEM_BIAS, Recommender

Scores = NDArray[np.float64]

NEUTRAL_HISTORIES = 256

FURTHEST = 6.0
"""In standard deviations: what lies further out is as sure as that."""

RIDGE = 1e-3
"""Keeps weights finite where own items and others are told apart without a mistake."""


def neutral_histories(num_items: int, seed: int) -> Int[Tensor, "histories 1"]:
    """Return histories of one item each, drawn by name among all items: nobody's data is needed for them."""
    count = min(NEUTRAL_HISTORIES, num_items)
    drawn = rng_for(seed, "neutral histories").choice(num_items, size=count, replace=False)
    return torch.from_numpy(drawn)[:, None]


def item_scores(
    model: Recommender,
    before: Mapping[str, Tensor],
    change: Mapping[str, Tensor],
    histories: Int[Tensor, "histories 1"],
) -> Scores:
    """Return what a change of the adapter does to each item, `[items]`; higher is pushed up more.

    Args:
        model: Whose parameters are overwritten, unless the items' bias is in the change.
        before: Every trained parameter before the change.
        change: After minus before, of what travels.
        histories: As `neutral_histories` draws them.
    """
    if ITEM_BIAS in change:
        return _float64(change[ITEM_BIAS].flatten())
    after = {name: before[name] + value for name, value in change.items()}
    return _mean_scores(model, {**before, **after}, histories) - _mean_scores(model, before, histories)


def auc_of(scores: Scores, items: IntArray) -> float:
    """Return the chance that one of a user's items is ranked above one that is not; ties count half.

    Args:
        scores: Of the whole catalogue, `[items]`.
        items: The user's, each once; nan for none and for all items.
    """
    own = _own(items, len(scores))
    return auc(scores[own], scores[~own])


def precision_at(scores: Scores, items: IntArray, k: int) -> float:
    """Return the share of the user's items among the first `k`, at least 1; of a smaller catalogue among all.

    Ties are broken by chance, and the expectation is returned. A user with fewer than `k` items cannot have 1.
    """
    k = min(k, len(scores))
    own = _own(items, len(scores))
    last = np.partition(scores, -k)[-k]
    sure, tied = scores > last, scores == last
    return float((own[sure].sum() + own[tied].mean() * (k - sure.sum())) / k)


def with_popularity(scores: Sequence[Scores], popularity: Sequence[Scores], items: Sequence[IntArray]) -> list[Scores]:
    """Return each user's ranking by update and popularity together, as an adversary makes it who learnt from others.

    Every second user is judged by weights (logistic regression) learnt from the users between them, and the other way
    round, so nobody's items are used against itself.

    Args:
        scores: What each user's update does to each item, `[users][items]`.
        popularity: How many others have each item, of the same shape.
        items: Items of each user.

    Returns:
        Log odds of each item to be the user's, `[users][items]`; the popularity alone for a single user, of whom
        nothing can be learnt.
    """
    if len(scores) < 2:
        return [counts.astype(np.float64) for counts in popularity]
    features = [_features(*both) for both in zip(scores, popularity, strict=True)]
    own = [_own(mine, len(of)) for mine, of in zip(items, features, strict=True)]
    weights = [_learnt(features[first::2], own[first::2]) for first in (1, 0)]
    return [of @ weights[number % 2] for number, of in enumerate(features)]


def _features(scores: Scores, popularity: Scores) -> Scores:
    """Return `[items, 4]`: one, the logarithm of popularity, and the update's push, apart for up and down."""
    spread = float(scores.std())
    push = np.clip((scores - scores.mean()) / spread, -FURTHEST, FURTHEST) if spread > 0 else np.zeros(len(scores))
    return np.stack((np.ones(len(scores)), np.log1p(popularity), np.maximum(push, 0), np.minimum(push, 0)), axis=1)


def _learnt(features: Sequence[Scores], own: Sequence[NDArray[np.bool_]]) -> Scores:
    """Return the weights of a logistic regression, the mean loss of an item plus a little ridge at its least."""
    rows, truth = np.concatenate(features), np.concatenate(own).astype(np.float64)

    def loss(weights: Scores) -> tuple[float, Scores]:
        odds = rows @ weights
        value = np.mean(np.logaddexp(0, odds) - truth * odds) + RIDGE / 2 * weights @ weights
        return float(value), rows.T @ (expit(odds) - truth) / len(rows) + RIDGE * weights

    found: Scores = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x
    return found


def _mean_scores(model: Recommender, parameters: Mapping[str, Tensor], histories: Tensor) -> Scores:
    load_parameters_(model, parameters)
    with torch.inference_mode():
        ones = torch.ones(len(histories), dtype=torch.int64)
        batch = {"history": histories, "length": ones, "value": ones[:, None].float()}
        return _float64(model.score(batch).double().mean(dim=0))


def _own(items: IntArray, num_items: int) -> NDArray[np.bool_]:
    mask = np.zeros(num_items, dtype=np.bool_)
    mask[items] = True
    return mask


def _float64(values: Tensor) -> Scores:
    array: Scores = values.double().numpy()
    return array
