"""How well a score tells two kinds apart: area under the ROC curve, and what is found when few are accused wrongly."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]


def auc(inside: Values, outside: Values) -> float:
    """Return the chance that one of `inside` scores above one of `outside`, ties counted half; nan if either is empty.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982).
    """
    if not (len(inside) and len(outside)):
        return math.nan
    ranks = rankdata(np.concatenate((inside, outside)))[: len(inside)]
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


def tpr_at_1_percent(inside: Values, outside: Values) -> float:
    """Return the share of `inside` above a threshold that at most 1 % of `outside` pass; nan if either is empty."""
    if not (len(inside) and len(outside)):
        return math.nan
    accused = len(outside) // 100  # 1 % of them, rounded down: the next one sets the threshold
    return float(np.mean(inside > np.sort(outside)[len(outside) - 1 - accused]))
