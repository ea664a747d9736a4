"""How many bytes travel: the content of a message as Flower serialises it, counted where it is sent.

Two messages with the same names, types and shapes count the same, so each kind is serialised once. Two things that
would make equal messages differ are therefore left out: an integer counts as a small one (Protobuf writes the number of
round 200 with a byte more than that of round 2), and the run's folder as an empty string, for only a simulation sends
it. What Flower adds around a content (ids, times) is not counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.common.serde import recorddict_to_proto

MOST_KINDS = 1024
"""Kinds of message whose size is remembered."""

_Kind = tuple[Any, ...]

_KNOWN: dict[_Kind, int] = {}


@dataclass(frozen=True)
class Sent:
    """What clients sent in a round.

    Attributes:
        answers: Answers that were no error, whether they could be used or not.
        bytes: Of them all.
    """

    answers: int = 0
    bytes: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.answers + other.answers, self.bytes + other.bytes)


def content_bytes(content: RecordDict) -> int:
    """Return the bytes of a message's content; 0 for an empty one."""
    kind = tuple((name, *_kind(record)) for name, record in content.items())
    if kind not in _KNOWN:
        if len(_KNOWN) >= MOST_KINDS:
            _KNOWN.clear()
        _KNOWN[kind] = recorddict_to_proto(_plain(content)).ByteSize()
    return _KNOWN[kind]


def asked_bytes(messages: Iterable[Message]) -> int:
    """Return the bytes of a round's questions."""
    contents = [message.content for message in messages]
    sizes = {id(content): content_bytes(content) for content in {id(one): one for one in contents}.values()}
    return sum(sizes[id(content)] for content in contents)


def answered(replies: Iterable[Message]) -> Sent:
    """Return what clients sent; an error is no answer."""
    sizes = [content_bytes(reply.content) for reply in replies if reply.has_content()]
    return Sent(len(sizes), sum(sizes))


def _kind(record: Any) -> _Kind:
    """Return all of a record that its size depends on."""
    if isinstance(record, ArrayRecord):
        return tuple((name, one.dtype, tuple(one.shape), one.stype, len(one.data)) for name, one in record.items())
    return tuple((name, *_kind_of(name, value)) for name, value in record.items())


def _kind_of(name: str, value: Any) -> _Kind:
    if isinstance(value, list):
        return "list", *(_kind_of("", entry) for entry in value)
    return type(value).__name__, _length(name, value)


def _length(name: str, value: Any) -> int:
    return len(value) if isinstance(value, str | bytes) and name != "run" else 0


def _plain(content: RecordDict) -> RecordDict:
    """Return the content with small integers and no run's folder."""
    plain: dict[str, Any] = {
        key: record
        if isinstance(record, ArrayRecord)
        else type(record)({name: _plain_value(name, value) for name, value in record.items()})
        for key, record in content.items()
    }
    return RecordDict(plain)


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_value("", entry) for entry in value]
    if name == "run":
        return ""
    return 1 if isinstance(value, int) and not isinstance(value, bool) else value
