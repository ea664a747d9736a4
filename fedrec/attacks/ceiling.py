"""What no attack can beat: the best ROC curve that (epsilon, delta)-differential privacy allows (Kairouz et al. 2015).

Whoever tells two neighbouring data sets apart has `TPR <= e^epsilon FPR + delta`, and the same with the two swapped and
negated. The curve is two straight lines that meet where `TPR = 1 - FPR`.
"""

import math

LARGE = 700.0
"""Exponents above it overflow, and the curve is that of infinity long before."""


def tpr_ceiling(fpr: float, epsilon: float, delta: float) -> float:
    """Return the largest true positive rate at a false positive rate `fpr`; 1 where epsilon is infinite.

    `min(e^epsilon fpr + delta, 1 - e^-epsilon (1 - delta - fpr), 1)`.
    """
    if math.isinf(epsilon):
        return 1.0
    falling = 1 - math.exp(-epsilon) * (1 - delta - fpr)
    rising = math.exp(min(epsilon, LARGE)) * fpr + delta
    return min(rising, falling, 1.0)


def auc_ceiling(epsilon: float, delta: float) -> float:
    """Return the area under that curve: 0.5 for (0, 0), 1 where epsilon is infinite.

    The lines meet at `f = (1 - delta) / (e^epsilon + 1)`, where the rate is `1 - f`; they start at `(0, delta)` and end
    at `(1 - delta, 1)`.
    """
    if math.isinf(epsilon):
        return 1.0
    meet = (1 - delta) / (math.exp(min(epsilon, LARGE)) + 1)
    return meet * (delta + 1 - meet) / 2 + (1 - delta - meet) * (2 - meet) / 2 + delta
