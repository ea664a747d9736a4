"""All transforms of an experiment as one value: what clients apply in order and the server undoes in reverse.

Why no list of transforms breaks a privacy claim (`tests/unit/privacy/test_transforms.py` holds both):

- Trust `local`: the change has its noise before the first transform sees it, and a transform draws from a public seed.
  So what travels is a function of what was released, and public numbers: post-processing.
- Trust `central`: let `g(x)` be what the server decodes for a client whose change is `x`. The server adds up
  `clip(g(x), C)`, each term of which is no longer than C, whatever `g` is. Where neighbours are with and without a
  client (`add-remove`), the sum moves by one term: at most C. Where a client's data are replaced (`replace-one`), by
  the difference of two: at most 2 C, which is what that neighbour is priced at. Where a client's data are taken away
  and its place stays (`zero-out`), its change is 0, and the sum moves by `clip(g(x), C) - clip(g(0), C)`. That is at
  most C because `g(0) = 0`: a change of zeros is sent as no array at all and read as zeros, past all transforms.

Under `secure-aggregation` there is no place for a transform: what is added up there are integers of a quantisation of
their own. `fedrec.privacy.checks` refuses it, as it does under `privacy.shuffled`, whose price takes all messages to be
made alike.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.experiment.config import Experiment, TransformConfig
from fedrec.transforms.base import TRANSFORMS, Arrays, Sender, StatefulTransform, Transform


@dataclass(frozen=True)
class Transforms:
    """The transforms of a run; false if there are none.

    Attributes:
        configs: Names and options, in the order in which clients apply them.
        seed: The experiment's seed. It is public, because no claim rests on what transforms draw; so the attackers of
            a run are the same whatever its noise key.
        clients: How many clients the run has.
    """

    configs: tuple[TransformConfig, ...] = ()
    seed: int = 0
    clients: int = 1

    @classmethod
    def of(cls, experiment: Experiment, clients: int) -> "Transforms":
        """Return the transforms of an experiment with so many clients."""
        return cls(experiment.transforms, experiment.seed, clients)

    def __bool__(self) -> bool:
        return bool(self.configs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by names and options: a worker finds the code itself, in a file of the user's, too."""
        return Transforms, (self.configs, self.seed, self.clients)

    @cached_property
    def steps(self) -> tuple[Transform, ...]:
        """The transforms themselves.

        Raises:
            ConfigError: If one is unknown or does not take its options.
        """
        return tuple(_built(place, config) for place, config in enumerate(self.configs))

    @property
    def remember(self) -> bool:
        """Whether clients keep anything of them between rounds."""
        return any(isinstance(step, StatefulTransform) for step in self.steps)

    def kept_start(self, shape: Arrays) -> dict[str, NDArray[Any]]:
        """Return what a client keeps before its first round, each name behind the place of its transform.

        Args:
            shape: The adapter, for names, shapes and types.
        """
        change: Arrays = self._trial(shape)
        found: dict[str, NDArray[Any]] = {}
        for place, step in enumerate(self.steps if self.remember else ()):
            if isinstance(step, StatefulTransform):
                found |= {f"{place}/{name}": value for name, value in step.kept_start(change).items()}
            change = step.encode(change, Sender(0, 1, self.clients, self.seed, place))
        return found

    def encode(
        self, change: Arrays, client: int, round: int, kept: Arrays
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Return what a client sends for its change in a round, and what it keeps.

        For a change of zeros nothing is sent, and what is kept stays as it is.

        Args:
            change: Adapter after minus before, by parameter name.
            client: Number of the client.
            round: Number of the round.
            kept: What it kept after its last round, or `kept_start`.
        """
        if not any(value.any() for value in change.values()):
            return {}, dict(kept)
        left: dict[str, NDArray[Any]] = {}
        for place, step in enumerate(self.steps):
            sender = Sender(client, round, self.clients, self.seed, place)
            if isinstance(step, StatefulTransform):
                own = {name.removeprefix(f"{place}/"): kept[name] for name in kept if name.startswith(f"{place}/")}
                change, own_left = step.encode_and_keep(change, sender, own)
                left |= {f"{place}/{name}": value for name, value in own_left.items()}
            else:
                change = step.encode(change, sender)
        return {name: np.asarray(value) for name, value in change.items()}, left

    def decode(self, received: Arrays, shape: Arrays) -> dict[str, NDArray[Any]]:
        """Return the change that a client's arrays stand for; zeros for no arrays.

        Args:
            received: What came over the wire.
            shape: The adapter, for names, shapes and types of a change of zeros.

        Raises:
            Exception: Whatever a transform raises at what it cannot read.
        """
        if not received:
            return {name: np.zeros_like(value) for name, value in shape.items()}
        for step in reversed(self.steps):
            received = step.decode(received)
        return dict(received)

    def check(self, shape: Arrays) -> None:
        """Send a change at random through all transforms, before any client does.

        Args:
            shape: The adapter, for names, shapes and types.

        Raises:
            ConfigError: If it cannot be encoded and decoded, or is then no change of the adapter.
        """
        words = " then ".join(config.name for config in self.configs)
        change = self._trial(shape)
        try:
            start = self.kept_start(shape)
            sent, kept = self.encode(change, 0, 1, start)
            found = self.decode(sent, shape)
        except Exception as error:
            message = f"transforms {words}: a trial change fails with {type(error).__name__}: {error}; mind the order"
            raise ConfigError(message) from error
        if wrong := _apart(found, change):
            message = (
                f"transforms {words}: a trial change comes back with {wrong}; decode must return the names, shapes and "
                "types that encode was given"
            )
            raise ConfigError(message)
        if wrong := _apart(kept, start):
            message = (
                f"transforms {words}: what is kept has {wrong}; encode_and_keep must return arrays like kept_start"
            )
            raise ConfigError(message)

    def _trial(self, shape: Arrays) -> dict[str, NDArray[Any]]:
        rng = rng_for(self.seed, "trial of transforms")
        return {name: rng.normal(size=value.shape).astype(value.dtype) for name, value in shape.items()}


def _built(place: int, config: TransformConfig) -> Transform:
    kind = TRANSFORMS.get(config.name)
    name = getattr(kind, "__name__", repr(kind))
    try:
        built: object = kind(**config.options)
    except (TypeError, ValueError) as error:
        message = f"transforms[{place}].options do not fit {name}: {error}"
        raise ConfigError(message) from error
    if not isinstance(built, Transform):
        message = f"transform {name} is no fedrec.transforms.base.Transform; derive it from that class"
        raise ConfigError(message)
    return built


def _apart(found: Arrays, wanted: Arrays) -> str:
    """Return the first array that differs in type or shape, in words; "" if none does."""
    for name in sorted(found.keys() | wanted.keys()):
        kinds = [f"{one[name].dtype}{list(one[name].shape)}" if name in one else "missing" for one in (found, wanted)]
        if kinds[0] != kinds[1]:
            return f"{name} {kinds[0]}, it was {kinds[1]}"
    return ""
