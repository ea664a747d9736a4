"""Every reply is checked before any arithmetic: a bad one is rejected, counted and reported, never averaged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from server.update import Arrays, Update, norm_of


@dataclass(frozen=True)
class Rejection:
    """A reply that was not used: whose, and why in one or two words and in one sentence."""

    client: int
    reason: str
    detail: str


def check_replies(
    replies: Iterable[Message], before: Mapping[str, NDArray[np.float32]], max_norm: float
) -> tuple[list[Update], list[Rejection]]:
    """Return the usable updates and the rejections, both in the order of the clients' numbers.

    Args:
        replies: Answers of a round; the source node is the client's number.
        before: The global adapter that was sent, by parameter name.
        max_norm: Longest accepted change (L2 over the whole adapter).
    """
    updates: list[Update] = []
    rejections: list[Rejection] = []
    for reply in sorted(replies, key=lambda message: message.metadata.src_node_id):
        outcome = _check(reply, before, max_norm)
        (updates if isinstance(outcome, Update) else rejections).append(outcome)  # type: ignore[arg-type]
    return updates, rejections


def _check(reply: Message, before: Mapping[str, NDArray[np.float32]], max_norm: float) -> Update | Rejection:
    client = reply.metadata.src_node_id
    if reply.has_error():
        return Rejection(client, "client failed", reply.error.reason or "no reason given")
    try:
        after = {name: array.numpy() for name, array in reply.content.array_records["arrays"].items()}
        weight = float(str(reply.content.metric_records["metrics"]["num-examples"]))
    except (KeyError, ValueError, TypeError) as error:
        return Rejection(client, "unreadable", f"reply lacks arrays or num-examples, or cannot be decoded: {error!r}")
    if (wrong := _shape_fault(after, before)) is not None:
        return Rejection(client, "wrong shape", wrong)
    if not (np.isfinite(weight) and weight >= 0):
        return Rejection(client, "bad weight", f"num-examples is {weight}")
    delta: Arrays = {name: after[name] - before[name] for name in before}
    bad = [name for name, array in delta.items() if not np.isfinite(array).all()]
    if bad:
        return Rejection(client, "not finite", f"NaN or infinity in {', '.join(bad[:3])}")
    if (norm := norm_of(delta)) > max_norm:
        return Rejection(client, "too long", f"update norm {norm:.3g} is above federation.max_update_norm={max_norm:g}")
    return Update(client, delta, weight)


def _shape_fault(after: Mapping[str, NDArray[np.float32]], before: Mapping[str, NDArray[np.float32]]) -> str | None:
    if after.keys() != before.keys():
        missing, extra = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
        return f"missing {missing[:3] or 'nothing'}, unexpected {extra[:3] or 'nothing'}"
    for name, array in after.items():
        if array.shape != before[name].shape or array.dtype != before[name].dtype:
            return f"{name} is {array.dtype}{list(array.shape)}, sent {before[name].dtype}{list(before[name].shape)}"
    return None
