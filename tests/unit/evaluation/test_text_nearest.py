"""The zero-shot control by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.evaluation.controls import CONTROLS
from fedrec.evaluation.controls.text_nearest import text_nearest_scorer
from tests.handmade import queries

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 0]], dtype=np.float32)


def test_a_score_is_the_cosine_with_the_fading_sum_of_the_history():
    # decay 1 / ln 2 halves with each item: the sum is 1/2 (1, 0) + (0, 1)
    scores = text_nearest_scorer(VECTORS, 1 / np.log(2))(queries([[0, 1]]))
    np.testing.assert_allclose(scores, [[0.5, 1.0, 0.5 * 0.6 + 0.8, 0.0]], rtol=1e-6)
    assert scores.dtype == np.float32


def test_a_repeated_item_counts_as_often_as_it_is_there():
    # the sum is a quarter of (1, 0), a half of (0, 1), and (1, 0) again
    scores = text_nearest_scorer(VECTORS, 1 / np.log(2))(queries([[0, 1, 0]]))
    np.testing.assert_allclose(scores[0, :2], [1.25, 0.5], rtol=1e-6)


def test_a_model_that_reads_no_text_has_no_such_control():
    experiment = SimpleNamespace(model=SimpleNamespace(name="matrix_factorization"))
    job = SimpleNamespace(prepared=SimpleNamespace(item_vectors=None), experiment=experiment)
    with pytest.raises(ConfigError, match="the model matrix_factorization reads no text; leave it out"):
        CONTROLS.get("text_nearest")(job, None, silent)
