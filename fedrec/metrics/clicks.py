"""How good probabilities of clicks are: pure functions of what was clicked and what was predicted.

A prediction is a *logit*, the logarithm of the odds, so that none is ever rounded to a certain 0 or 1.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Clicked = NDArray[np.bool_]
Logits = NDArray[np.floating[Any]]


def auc(clicked: Clicked, logits: Logits) -> float:
    """Return the area under the ROC curve: how often a clicked pair is above an unclicked one (Hanley & McNeil 1982).

    Args:
        clicked: Whether each pair was clicked, `[pairs]`.
        logits: Prediction for each pair; equal ones count as half a success.

    Returns:
        A value in [0, 1], a half for predictions without any order; nan unless there are pairs of both kinds.
    """
    clicks = int(clicked.sum())
    others = len(clicked) - clicks
    if not clicks or not others:
        return math.nan
    ranks = rankdata(logits)[clicked].sum()
    return float((ranks - clicks * (clicks + 1) / 2) / (clicks * others))


def log_loss(clicked: Clicked, logits: Logits) -> float:
    """Return the mean of `-log P(what happened)` in nats; nan without pairs."""
    if not len(clicked):
        return math.nan
    return float(np.logaddexp(0.0, np.where(clicked, -1.0, 1.0) * logits).mean())


def calibration_error(clicked: Clicked, logits: Logits, bins: int) -> float:
    """Return the expected calibration error (Naeini et al. 2015; Guo et al. 2017, equation 3).

    Pairs are put into `bins` bins of equal width by their probability, `((m - 1) / bins, m / bins]`, the first with 0.
    The error is the mean over pairs of `|share of clicks - mean probability|` of each pair's bin.

    Args:
        clicked: Whether each pair was clicked, `[pairs]`.
        logits: Prediction for each pair.
        bins: How many, at least 1.

    Returns:
        A value in [0, 1]; nan without pairs.
    """
    if not len(clicked):
        return math.nan
    probability = expit(logits.astype(np.float64))
    place = np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], probability)
    surplus = np.bincount(place, weights=clicked - probability, minlength=bins)
    return float(np.abs(surplus).sum() / len(clicked))


def calibration_ratio(clicked: Clicked, logits: Logits) -> float:
    """Return the expected number of clicks over the number of clicks (He et al. 2014); nan without a click.

    1 if as many are expected as there were, above 1 if too many are.
    """
    return float(expit(logits.astype(np.float64)).sum() / clicked.sum()) if clicked.any() else math.nan
