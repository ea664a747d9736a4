"""Metrics of clicks by hand, and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from fedrec.metrics.clicks import auc, calibration_error, calibration_ratio, log_loss

YES, NO = True, False


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities) / (1 - np.array(probabilities)))


def test_auc_counts_the_pairs_in_order_and_a_tie_as_half():
    # clicked 3 and 1 against 1 and 0: 3 beats both, 1 ties with 1 and beats 0, so 3.5 of 4
    assert auc(np.array([YES, YES, NO, NO]), np.array([3.0, 1.0, 1.0, 0.0])) == 3.5 / 4


def test_log_loss_is_minus_the_mean_log_probability_of_what_happened():
    found = log_loss(np.array([YES, NO]), logits(0.8, 0.4))
    assert found == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert log_loss(np.array([NO]), np.array([1000.0])) == 1000.0  # never a false certainty


def test_calibration_error_weighs_bins_by_their_pairs():
    # bins (0, 0.5] with 0.2 and 0.4, one click: |0.5 - 0.3| = 0.2; (0.5, 1] with 0.9 and a click: 0.1
    found = calibration_error(np.array([YES, NO, YES]), logits(0.2, 0.4, 0.9), 2)
    assert found == pytest.approx((2 * 0.2 + 1 * 0.1) / 3)
    assert calibration_error(np.array([YES]), logits(0.5), 2) == pytest.approx(0.5)  # an edge is the lower bin's


def test_calibration_ratio_is_expected_over_found_clicks():
    assert calibration_ratio(np.array([YES, NO, NO]), logits(0.5, 0.5, 0.5)) == pytest.approx(1.5)


def test_what_cannot_be_said_is_nan():
    none, no = np.array([], dtype=bool), np.array([NO])
    assert all(
        math.isnan(value)
        for value in (
            auc(no, np.zeros(1)),
            auc(~no, np.zeros(1)),
            log_loss(none, np.zeros(0)),
            calibration_error(none, np.zeros(0), 10),
            calibration_ratio(no, np.zeros(1)),
        )
    )


pairs = st.lists(st.tuples(st.booleans(), st.integers(-30, 30)), min_size=2, max_size=40).filter(
    lambda drawn: len({clicked for clicked, _ in drawn}) == 2
)


@settings(deadline=None, max_examples=30)
@given(pairs, st.integers(1, 20))
def test_all_agree_with_scikit_learn(drawn, bins):
    clicked, scores = np.array([pair[0] for pair in drawn]), np.array([pair[1] / 4 for pair in drawn])
    probability = expit(scores)
    assert auc(clicked, scores) == pytest.approx(roc_auc_score(clicked, scores), abs=1e-9)
    assert log_loss(clicked, scores) == pytest.approx(sklearn_log_loss(clicked, probability), abs=1e-9)
    shares, means = calibration_curve(clicked, probability, n_bins=bins)
    counts = np.histogram(-probability, bins=-np.linspace(0, 1, bins + 1)[::-1])[0][::-1]  # right-closed bins
    expected = np.abs(shares - means) @ counts[counts > 0] / len(clicked)
    assert calibration_error(clicked, scores, bins) == pytest.approx(expected, abs=1e-9)
    assert calibration_ratio(clicked, scores) == pytest.approx(probability.mean() / clicked.mean(), abs=1e-9)
