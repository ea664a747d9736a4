"""The loss of one example, by hand, and the sampled softmax against the full one."""

import math

import numpy as np
import pytest
import torch

from fedrec.tasks.next_item import NextItem
from fedrec.tasks.windows import IGNORED
from tests.handmade import NUM_ITEMS, batch, context, experiment, losses

HISTORY = torch.tensor([[0, 1, 2], [4, 4, 0]])
TARGET = torch.tensor([[1, 2, 3], [4, 6, IGNORED]])


def test_mean_over_the_examples_targets_of_minus_log_probability():
    model = context().model
    log_probability = model(batch(HISTORY)).log_softmax(dim=2)
    first = -(log_probability[0, 0, 1] + log_probability[0, 1, 2] + log_probability[0, 2, 3]) / 3
    second = -(log_probability[1, 0, 4] + log_probability[1, 1, 6]) / 2
    torch.testing.assert_close(losses(model, HISTORY, TARGET, None), torch.stack((first, second)))


def test_a_model_that_knows_nothing_loses_log_of_the_catalogue():
    model = context().model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(
        losses(model, HISTORY, TARGET, None), torch.full((2,), math.log(NUM_ITEMS), dtype=torch.float64)
    )


def test_an_empty_batch_gives_an_empty_tensor():
    empty = torch.empty(0, 1, dtype=torch.int64)
    assert losses(context().model, empty, empty, None).shape == (0,)


def test_sampled_softmax_of_the_whole_catalogue_is_the_full_softmax():
    # sample = catalogue: the correction is log(7 / 7) = 0, and the target's second copy is masked
    model = context().model
    sampled = losses(model, HISTORY, TARGET, torch.randperm(NUM_ITEMS))
    torch.testing.assert_close(sampled, losses(model, HISTORY, TARGET, None))


def test_the_sampled_partition_sum_estimates_the_full_one():
    """exp(loss) = partition / exp(score of the target): its mean over samples must be the full softmax's."""
    model, rng, draws = context().model, np.random.default_rng(0), 600
    history, target = HISTORY[:1, :1], TARGET[:1, :1]
    with torch.no_grad():
        full = losses(model, history, target, None).exp().item()
        samples = torch.from_numpy(rng.integers(NUM_ITEMS, size=(draws, 3)))
        ratios = torch.cat([losses(model, history, target, sample) for sample in samples]).exp()
    assert abs(ratios.mean().item() - full) < 4 * ratios.std().item() / math.sqrt(draws)


def test_gradients_of_both_ways_to_embed_the_sample_are_equal():
    one, other = context().model, context().model
    other.per_example = True
    sample = torch.tensor([5, 1, 1, 6])
    gradients = []
    for model in (one, other):
        losses(model, HISTORY, TARGET, sample).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters() if parameter.requires_grad])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(("limit", "size"), [(NUM_ITEMS, None), (NUM_ITEMS - 1, 6)])
def test_only_a_catalogue_above_the_limit_is_sampled(limit, size):
    sample = NextItem(experiment(model={"softmax_items": limit})).sample(np.random.default_rng(0), range(NUM_ITEMS))
    assert (None if sample is None else len(sample)) == size
