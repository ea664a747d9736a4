"""How many bytes clients' answers would take that a worker adds up: those of the messages that they replace.

A message's size follows from the names, types and shapes in it, so one is packed for each kind and none for a client.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from clients.app import pack
from fedrec.training.task import CohortUpdate
from server.message_size import Sent, content_bytes

_Shapes = tuple[tuple[str, torch.dtype, tuple[int, ...]], ...]


def sent_of(update: CohortUpdate) -> Sent:
    """Return what the clients of a chunk would have sent; failures send nothing."""
    parameters, extras = _shapes(update.parameters), _shapes(update.extras)
    told = Counter(loss is not None for loss in update.losses)
    return Sent(len(update.clients), sum(count * _bytes(parameters, extras, loss) for loss, count in told.items()))


def _shapes(stack: Mapping[str, Tensor]) -> _Shapes:
    return tuple((name, value.dtype, tuple(value.shape[1:])) for name, value in stack.items())


@lru_cache(maxsize=64)
def _bytes(parameters: _Shapes, extras: _Shapes, loss: bool) -> int:  # noqa: FBT001 - a key
    """Return the bytes of one answer of these shapes, with a loss or without."""
    after, payload = ({n: torch.zeros(1, *s, dtype=kind) for n, kind, s in some} for some in (parameters, extras))
    return content_bytes(pack(CohortUpdate([0], after, {}, [1.0], [0.0 if loss else None], extras=payload)))
