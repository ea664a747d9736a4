"""Named plug-ins: registered by decorator, found by entry point, or named as `fedrec.core.own_code` reads it."""

import difflib
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from fedrec.core.errors import ConfigError, FedrecError
from fedrec.core.own_code import load, searched

T = TypeVar("T")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Args:
        kind: What one entry is, in words ("strategy").
        group: Entry-point group that other distributions may fill, if any.
    """

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self._group = group
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under `name`; a name is taken once."""

        def file(entry: T) -> T:
            if name in self._entries:
                message = f"{self.kind} {name!r} is registered twice"
                raise ValueError(message)
            self._entries[name] = entry
            return entry

        return file

    def names(self) -> list[str]:
        """Return every known name, sorted, entry points included."""
        return sorted({*self._entries, *self._found()})

    def get(self, name: str) -> T:
        """Return the entry called `name`, or what `package.module:Class` or `file.py:Class` names.

        Raises:
            ConfigError: If there is no such entry; the message lists what there is, or where it was looked for.
        """
        if name in self._entries:
            return self._entries[name]
        if name in (found := self._found()):
            return found[name].load()  # type: ignore[no-any-return]
        if ":" in name:
            return self._import(name)
        message = f"unknown {self.kind} {name!r}{suggest(name, self.names()) or '.'} Known: {', '.join(self.names())}"
        raise ConfigError(message)

    def _found(self) -> dict[str, Any]:
        return {point.name: point for point in entry_points(group=self._group)} if self._group else {}

    def _import(self, reference: str) -> T:
        try:
            return load(reference)  # type: ignore[no-any-return]
        except FedrecError:
            raise
        except Exception as error:
            message = (
                f"{self.kind} {reference!r} cannot be imported ({type(error).__name__}: {error}); write "
                f"package.module:Class or folder/file.py:Class; looked in {', '.join(searched())} and among what is "
                "installed"
            )
            raise ConfigError(message) from error
