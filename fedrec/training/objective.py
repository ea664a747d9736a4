"""The loss of one example: cross-entropy of the next item, averaged over the example's positions.

Above `model.softmax_items` items the softmax runs over the target and a shared uniform sample, whose logits
are raised by log(items / sample) so that the sampled partition sum estimates the full one (Bengio & Senecal 2003).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fedrec.data.examples import IGNORED
from fedrec.data.split import any_items
from fedrec.models.backbone import Backbone

MOST_SCORES = 2**24
"""Most scores of one call, 64 MiB, where a batch can be taken in parts: a few copies of them live at once."""


def rows_at_once(positions: int, items: int) -> int:
    """Return how many rows of so many positions are scored in one call: at least one, whatever it takes.

    Args:
        positions: Of a row, at least one.
        items: Scored after each position.
    """
    return max(1, MOST_SCORES // (positions * items))


def example_losses(
    model: Backbone,
    history: Int[Tensor, "batch length"],
    target: Int[Tensor, "batch length"],
    negatives: Tensor | None,
) -> Float[Tensor, " batch"]:
    """Return each example's mean loss over its targets, in nats; an empty batch gives an empty tensor.

    Args:
        model: The recommender.
        history: Item indices.
        target: Next items, `IGNORED` where a position predicts nothing; at least one target an example.
        negatives: Items `[sample]` of a sampled softmax; None for the softmax over all items.
    """
    known = target != IGNORED
    wanted = target.clamp(min=0)
    if negatives is None:
        # Over the last axis, where scores lie side by side: `cross_entropy` wants them transposed, which costs a copy.
        losses = -model(history).log_softmax(dim=-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    else:
        losses = _sampled(model, history, wanted, negatives)
    weight = known.to(losses.dtype)
    means: Tensor = (losses * weight).sum(dim=1) / weight.sum(dim=1)
    return means


def softmax_sample(model: Backbone, rng: np.random.Generator) -> Int[Tensor, " sample"] | None:
    """Return the sample of a sampled softmax, or None for a catalogue small enough to be scored whole."""
    num_items = len(model.item_vectors)
    if num_items <= model.softmax_items:
        return None
    return torch.from_numpy(any_items(rng, num_items, model.softmax_items))


def _sampled(model: Backbone, history: Tensor, wanted: Tensor, negatives: Tensor) -> Tensor:
    length = history.shape[1]
    scores: Tensor = model(history, wanted, negatives)
    positive = scores[:, :, :length].diagonal(dim1=1, dim2=2)
    correction = math.log(len(model.item_vectors) / len(negatives))
    same = negatives[None, None, :] == wanted[:, :, None]
    rest = (scores[:, :, length:] + correction).masked_fill(same, -math.inf)
    everything = torch.cat((positive[:, :, None], rest), dim=2)
    return everything.logsumexp(dim=2) - positive
