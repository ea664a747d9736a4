"""How many bytes clients' answers would take that a worker adds up: those of the messages that they replace.

A message's size follows from the names, types and shapes in it, so one is packed for each kind and none for a client.
"""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clients.app import pack
from fedrec.training.task import CohortUpdate
from server.message_size import Sent, content_bytes

_Shapes = tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]


def sent_of(update: CohortUpdate) -> Sent:
    """Return what the clients of a chunk would have sent; failures send nothing."""
    plain, extras = _shapes_of_a_row(update.parameters), _shapes_of_a_row(update.extras)
    told = Counter(
        (client if client in update.encoded else None, loss is not None)
        for client, loss in zip(update.clients, update.losses, strict=True)
    )
    size = sum(
        count * _bytes(plain if client is None else _shapes(update.encoded[client]), extras, loss)
        for (client, loss), count in told.items()
    )
    return Sent(len(update.clients), size)


def _shapes_of_a_row(stack: Mapping[str, Tensor]) -> _Shapes:
    return _shapes({name: value.new_empty(value.shape[1:]).numpy() for name, value in stack.items()})


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> _Shapes:
    return tuple((name, value.dtype, value.shape) for name, value in arrays.items())


@lru_cache(maxsize=1024)
def _bytes(arrays: _Shapes, extras: _Shapes, loss: bool) -> int:  # noqa: FBT001 - a key
    """Return the bytes of one answer with arrays of these shapes, with a loss or without."""
    sent = {0: {name: np.zeros(shape, kind) for name, kind, shape in arrays}}
    payload = {name: torch.from_numpy(np.zeros((1, *shape), kind)) for name, kind, shape in extras}
    return content_bytes(pack(CohortUpdate([0], {}, {}, [1.0], [0.0 if loss else None], extras=payload, encoded=sent)))
