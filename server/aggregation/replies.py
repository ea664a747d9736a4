"""Every reply is checked before any arithmetic: a bad one is rejected, counted and reported, never averaged."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from flwr.app import Message

from fedrec.transforms.pipeline import Transforms
from server.aggregation.update import Array, Update, norm_of

LONGEST_DETAIL = 300
"""Characters kept of what a client says went wrong."""

Adapter = Mapping[str, Array]


@dataclass(frozen=True)
class Rejection:
    """A reply that was not used: whose, and why in one or two words and in one sentence."""

    client: int
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a usable answer looks like.

    Attributes:
        before: The global adapter that was sent, by parameter name.
        max_norm: Longest accepted change (L2 over the whole adapter); inf rejects none for its length.
        payload: What the clients' rule sends beside the adapter: arrays of its names, shapes and types.
        transforms: What the change comes through; without any, the adapter itself comes.
    """

    before: Adapter
    max_norm: float = math.inf
    payload: Adapter = field(default_factory=dict)
    transforms: Transforms = field(default_factory=Transforms)


def check_replies(replies: Iterable[Message], wanted: Wanted) -> tuple[list[Update], list[Rejection]]:
    """Return the usable updates and the rejections, both in the order of the clients' numbers.

    Args:
        replies: Answers of a round; the source node is the client's number.
        wanted: What they should be.
    """
    updates: list[Update] = []
    rejections: list[Rejection] = []
    for reply in sorted(replies, key=lambda message: message.metadata.src_node_id):
        outcome = _check(reply, wanted)
        if isinstance(outcome, Update):
            updates.append(outcome)
        else:
            rejections.append(outcome)
    return updates, rejections


def in_words(rejections: Sequence[Rejection]) -> str:
    """Return the first three rejections and how many more there are, for a message."""
    if not rejections:
        return "nobody else was asked"
    shown = [f"client {rejection.client}: {rejection.reason} ({rejection.detail})" for rejection in rejections[:3]]
    more = f"; and {len(rejections) - len(shown)} more" if len(rejections) > len(shown) else ""
    return "; ".join(shown) + more


def _check(reply: Message, wanted: Wanted) -> Update | Rejection:
    client = reply.metadata.src_node_id
    if reply.has_error():
        return failed(client, reply.error.reason or "no reason given")
    try:
        records = reply.content.array_records
        arrays = {name: array.numpy() for name, array in records["arrays"].items()}
        extras = {name: array.numpy() for name, array in records["extras"].items()} if "extras" in records else {}
        weight = float(str(reply.content.metric_records["metrics"]["num-examples"]))
    except Exception as error:  # noqa: BLE001 - what broken bytes raise when they are decoded has no bounds
        detail = f"reply lacks arrays or num-examples, or cannot be decoded: {error!r}"
        return _rejection(client, "unreadable", detail)
    return check_answer(client, arrays, extras, weight, wanted)


def check_answer(client: int, arrays: Adapter, extras: Adapter, weight: float, wanted: Wanted) -> Update | Rejection:
    """Return what a client's arrays say, or why they cannot be used.

    Args:
        client: Whose answer it is.
        arrays: Its adapter after training; with transforms, its encoded change.
        extras: Its rule's payload.
        weight: Its number of examples.
        wanted: What they should be.
    """
    transforms, before = wanted.transforms, wanted.before
    try:
        with np.errstate(all="ignore"):  # what is not finite is found below
            found = transforms.decode(arrays, before) if transforms else arrays
            faults = [*_faults(found, before), *_faults(extras, wanted.payload)]
    except Exception as error:  # noqa: BLE001 - what a transform raises at broken bytes has no bounds
        return _rejection(client, "unreadable", f"the encoded change cannot be decoded: {error!r}")
    bad_weight = [] if math.isfinite(weight) and weight >= 0 else [("bad weight", f"num-examples is {weight}")]
    for reason, detail in (*bad_weight, *faults):
        return _rejection(client, reason, detail)
    if bad := [name for name, array in (*found.items(), *extras.items()) if not np.isfinite(array).all()]:
        return not_finite(client, bad)
    with np.errstate(over="ignore"):  # a finite reply may be infinitely far away
        delta = {name: found[name] if transforms else found[name] - before[name] for name in before}
    norm = norm_of(delta)
    if norm > wanted.max_norm:
        return too_long(client, norm, wanted.max_norm)
    return Update(client, delta, weight, dict(extras)) if math.isfinite(norm) else not_finite(client, sorted(delta))


def failed(client: int, why: str) -> Rejection:
    """Return the rejection of a client that answered with an error."""
    return _rejection(client, "client failed", why)


def not_finite(client: int, names: Sequence[str]) -> Rejection:
    """Return the rejection of an answer with NaN or infinity in the parameters of these names."""
    return _rejection(client, "not finite", f"NaN or infinity in {', '.join(names[:3])}")


def too_long(client: int, norm: float, max_norm: float) -> Rejection:
    """Return the rejection of a change that is longer than is accepted."""
    return _rejection(client, "too long", f"update norm {norm:.3g} is above federation.max_update_norm={max_norm:g}")


def _faults(after: Adapter, before: Adapter) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with arrays that should be like others, reason and detail; the first one counts."""
    if after.keys() != before.keys():
        missing, extra = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
        yield "wrong shape", f"missing {missing[:3] or 'nothing'}, unexpected {extra[:3] or 'nothing'}"
        return
    for name, array in after.items():
        if array.shape != before[name].shape or array.dtype != before[name].dtype:
            sent, came = (f"{a.dtype}{list(a.shape)}" for a in (before[name], array))
            yield "wrong shape", f"{name} is {came}, sent {sent}"


def _rejection(client: int, reason: str, detail: str) -> Rejection:
    return Rejection(client, reason, " ".join(detail.split())[:LONGEST_DETAIL])
