"""Dropout by a number an example: how much is dropped, and that nothing but the number and the place decides what."""

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.models.recommender import build_model
from fedrec.models.transformer.dropout import dropped
from tests.handmade import batch, context, experiment, inputs

DRAWS = torch.tensor([0, 1, 2**32 - 1])
HISTORY = torch.tensor([[0, 1, 2, 3], [4, 4, 6, 0], [1, 2, 3, 5]])


def mask(length=40, width=32, place=0, share=0.25, draws=DRAWS):
    return dropped(torch.ones(len(draws), length, width, dtype=torch.float64), draws, place, share)


def test_a_share_becomes_zero_and_the_rest_keeps_the_mean():
    found = mask()
    assert found.unique().tolist() == pytest.approx([0, 1 / 0.75])
    # 3,840 coins of 3/4: six standard deviations are 6 * sqrt(.25 * .75 / 3840) = .042
    assert (found == 0).double().mean().item() == pytest.approx(0.25, abs=0.042)
    assert torch.equal(mask(share=0.0), torch.ones(3, 40, 32, dtype=torch.float64))


def test_examples_places_and_values_have_masks_that_know_nothing_of_each_other():
    masks = [mask(draws=DRAWS), mask(draws=DRAWS, place=1), mask(draws=DRAWS + 7)]
    halves = [row.flatten() for found in masks for row in found]
    halves += [found[0, :, :16].flatten() for found in masks] + [found[0, :, 16:].flatten() for found in masks]
    long = [row for row in halves if len(row) == 1280]
    for first in range(len(long)):
        for second in range(first):
            both = ((long[first] == 0) & (long[second] == 0)).double().mean().item()
            assert both == pytest.approx(1 / 16, abs=0.041)  # six deviations of 1,280 coins of 1/16


@pytest.mark.parametrize("width", [32, 7])
def test_neither_padding_nor_the_batch_nor_vectorising_moves_a_mask(width):
    whole = mask(width=width)
    assert torch.equal(mask(length=10, width=width), whole[:, :10])
    assert torch.equal(mask(width=width, draws=DRAWS[1:2]), whole[1:2])
    ones = torch.ones(3, 1, 40, width, dtype=torch.float64)
    alone = torch.func.vmap(lambda hidden, draw: dropped(hidden, draw, 0, 0.25))(ones, DRAWS[:, None])
    assert torch.equal(alone[:, 0], whole)


def test_a_model_drops_only_where_a_batch_says_what():
    model = context(model={"dropout": 0.5}).model
    asked = {**batch(HISTORY), "dropout": DRAWS}
    torch.testing.assert_close(model(asked), model(asked), rtol=0, atol=0)
    assert not torch.allclose(model(asked), model(batch(HISTORY)))
    torch.testing.assert_close(model(batch(HISTORY)), context().model(batch(HISTORY)))


def test_a_model_without_dropout_refuses_some():
    with pytest.raises(ConfigError, match=r"model\.dropout = 0\.5: the model matrix_factorization has none"):
        build_model(experiment(model={"name": "matrix_factorization", "dropout": 0.5}), inputs())
