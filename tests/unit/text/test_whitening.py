"""Whitening: what it promises of any vectors, and the degenerate ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import TextConfig
from fedrec.text.whitening import further_vectors, item_vectors, whiten

RAW = (np.random.default_rng(0).normal(size=(40, 6)) @ np.random.default_rng(1).normal(size=(6, 6)) + 3).astype(
    np.float32
)


def test_coordinates_are_uncorrelated_and_of_one_variance_before_rows_are_scaled():
    """Each row of the result is its white row over that row's length, and white rows come from any square root of
    the inverse covariance: X W with W W' = covariance^-1 has the identity as its covariance."""
    centred = RAW.astype(np.float64) - RAW.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / len(RAW)
    # a row's length under whitening is its Mahalanobis length
    lengths = np.sqrt(np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariance), centred))
    white = whiten(RAW, 6).astype(np.float64) * lengths[:, None]
    np.testing.assert_allclose(white.T @ white / len(RAW), np.eye(6), atol=1e-5)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-6)


def test_cosines_are_those_of_the_inverse_covariance():
    centred = RAW.astype(np.float64) - RAW.mean(axis=0, dtype=np.float64)
    gram = centred @ np.linalg.inv(centred.T @ centred) @ centred.T
    scale = np.sqrt(np.diag(gram))
    white = whiten(RAW, 6)
    np.testing.assert_allclose(white @ white.T, gram / scale[:, None] / scale, atol=1e-5)


def test_fewer_dimensions_keep_the_axes_of_largest_variance():
    stretched = (np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 10]).astype(np.float32)
    kept = whiten(stretched, 1)
    centred = stretched[:, 1] - stretched[:, 1].mean()
    # one axis, rows of length 1: only the side of the mean is left, the sign of an axis being free
    agree = (np.sign(kept[:, 0]) == np.sign(centred)).mean()
    assert max(agree, 1 - agree) > 0.9


@pytest.mark.parametrize(("dimensions", "kept"), [(1, 1), (2, 2), (3, 2), (256, 2)])
def test_more_dimensions_than_the_rank_are_cut_to_it(dimensions, kept):
    # two directions only: four items in a plane of a space of five
    plane = np.array([[1, 0], [0, 1], [2, 3], [5, 1]]) @ np.random.default_rng(0).normal(size=(2, 5))
    assert whiten(plane.astype(np.float32), dimensions).shape == (4, kept)


@pytest.mark.parametrize("vectors", [np.full((1, 4), 0.1), np.full((7, 4), 0.1)], ids=["one item", "equal texts"])
def test_vectors_that_do_not_differ_are_one_column_of_zeros(vectors):
    assert whiten(vectors.astype(np.float32), 256).tolist() == [[0.0]] * len(vectors)


def test_a_row_on_the_mean_is_zero_and_no_nan():
    white = whiten(np.array([[0, 1], [2, 3], [1, 2]], dtype=np.float32), 2)
    np.testing.assert_allclose(np.abs(white[:, 0]), [1, 1, 0], atol=1e-6)


def test_the_sign_of_an_axis_is_decided_by_its_largest_entry(monkeypatch):
    """A solver may return an axis or its opposite: the result is the same."""
    solve = np.linalg.svd

    def other_signs(matrix, **options):
        left, scale, right = solve(matrix, **options)
        return left * [1, -1, -1, 1, -1, 1], scale, right

    expected = whiten(RAW, 6)
    monkeypatch.setattr(np.linalg, "svd", other_signs)
    np.testing.assert_array_equal(whiten(RAW, 6), expected)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 5)), elements=st.floats(-8, 8, width=16)),
    st.integers(1, 9),
)
def test_rows_have_length_one_or_zero(vectors, dimensions):
    white = whiten(vectors, dimensions)
    assert white.dtype == np.float32
    assert white.shape[0] == len(vectors)
    assert 1 <= white.shape[1] <= dimensions
    lengths = np.linalg.norm(white, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))


def test_each_catalogue_is_centred_on_its_own_mean_and_the_axes_are_common() -> None:
    shifted = np.concatenate((RAW, RAW + 7))
    bounds = np.array([0, len(RAW), 2 * len(RAW)])
    white = whiten(shifted.astype(np.float32), 6, bounds)
    np.testing.assert_allclose(white[: len(RAW)], white[len(RAW) :], atol=1e-5)
    one = np.array([0, len(RAW)])
    np.testing.assert_array_equal(whiten(RAW, 6, one), whiten(RAW, 6))


TWO = np.concatenate((RAW, RAW[:3] + 7))
BOUNDS = np.array([0, len(RAW), len(TWO)])


def test_global_whitening_is_the_default():
    np.testing.assert_array_equal(item_vectors(TWO, TextConfig(), BOUNDS), whiten(TWO, 256, BOUNDS))
    np.testing.assert_array_equal(item_vectors(TWO, TextConfig(dimensions=2), BOUNDS), whiten(TWO, 2, BOUNDS))


def test_without_whitening_only_the_lengths_change():
    raw = np.array([[3, 4], [0, 0], [-5, 0]], dtype=np.float32)
    found = item_vectors(raw, TextConfig(whitening="off"), np.array([0, 3]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-7)
    np.testing.assert_array_equal(item_vectors(raw, TextConfig(whitening="off", dimensions=2), np.array([0, 3])), found)
    with pytest.raises(ConfigError, match=r"text.dimensions = 256: .* as wide as the encoder makes them, 2; leave"):
        item_vectors(raw, TextConfig(whitening="off", dimensions=256), np.array([0, 3]))


def test_platforms_are_whitened_alone_and_the_narrower_one_has_zeros_behind():
    found = item_vectors(TWO, TextConfig(whitening="platform"), BOUNDS)
    np.testing.assert_array_equal(found[: len(RAW)], whiten(RAW, 6))
    # three items span two axes about their mean, of six
    np.testing.assert_array_equal(found[len(RAW) :, :2], whiten(TWO[len(RAW) :], 6))
    assert not found[len(RAW) :, 2:].any()
    one = np.array([0, len(RAW)])
    np.testing.assert_array_equal(item_vectors(RAW, TextConfig(whitening="platform"), one), whiten(RAW, 256, one))


@pytest.mark.parametrize("whitening", ["off", "global", "platform"])
@pytest.mark.parametrize("bounds", [[0, 40], [0, 15, 40]])
def test_a_text_that_reads_as_an_items_does_gets_that_items_vector(whitening, bounds):
    config, catalogues = TextConfig(whitening=whitening), np.array(bounds)
    expected = item_vectors(RAW, config, catalogues)
    some = np.array([39, 0, 14, 15, 0])  # in any order, and repeated
    owner = np.searchsorted(catalogues, some, side="right") - 1
    np.testing.assert_allclose(further_vectors(RAW[some], owner, RAW, config, catalogues), expected[some], atol=1e-5)


def test_other_texts_move_no_axis_and_have_length_one():
    config, catalogue = TextConfig(dimensions=4), np.array([0, 40])
    strange = np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)
    alone, among = strange.copy(), strange.copy()
    among[1:] *= 50
    found, other = (further_vectors(rows, np.zeros(40, np.int64), RAW, config, catalogue) for rows in (alone, among))
    np.testing.assert_array_equal(found[0], other[0])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_equal_items_have_no_axis_to_put_another_text_on():
    equal = np.ones((3, 4), dtype=np.float32)
    found = further_vectors(
        np.eye(2, 4, dtype=np.float32), np.zeros(2, np.int64), equal, TextConfig(), np.array([0, 3])
    )
    assert found.tolist() == [[0.0]] * 2
