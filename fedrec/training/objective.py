"""The loss of one example: cross-entropy of the next item, averaged over the example's positions.

Above `model.softmax_items` items the softmax runs over the target and a shared uniform sample, whose logits
are raised by log(items / sample) so that the sampled partition sum estimates the full one (Bengio & Senecal 2003).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fedrec.data.examples import IGNORED


def example_losses(
    model: nn.Module, history: Int[Tensor, "batch length"], target: Int[Tensor, "batch length"], negatives: Tensor | None
) -> Float[Tensor, "batch"]:
    """Return each example's mean loss over its targets, in nats; an empty batch gives an empty tensor.

    Args:
        model: Takes (history, candidates) and returns scores.
        history: Item indices.
        target: Next items, `IGNORED` where a position predicts nothing; at least one target an example.
        negatives: Items `[sample]` of a sampled softmax; None for the softmax over all items.
    """
    known = target != IGNORED
    wanted = target.clamp(min=0)
    if negatives is None:
        losses = functional.cross_entropy(model(history).transpose(1, 2), wanted, reduction="none")
    else:
        losses = _sampled(model, history, wanted, negatives)
    weight = known.to(losses.dtype)
    return (losses * weight).sum(dim=1) / weight.sum(dim=1)


def _sampled(model: nn.Module, history: Tensor, wanted: Tensor, negatives: Tensor) -> Tensor:
    batch, length = history.shape
    candidates = torch.cat((wanted, negatives.expand(batch, -1)), dim=1)
    scores = model(history, candidates)
    positive = scores[:, :, :length].diagonal(dim1=1, dim2=2)
    correction = math.log(model.item_vectors.shape[0] / len(negatives))  # type: ignore[union-attr, arg-type]
    same = negatives[None, None, :] == wanted[:, :, None]
    rest = (scores[:, :, length:] + correction).masked_fill(same, -math.inf)
    everything = torch.cat((positive[:, :, None], rest), dim=2)
    return everything.logsumexp(dim=2) - positive
