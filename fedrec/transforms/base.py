"""What an update transform is: a client half that encodes a change, and a server half that decodes it.

An experiment lists its transforms in `[[transforms]]`. On the client they are applied in that order to the change of
the adapter (after minus before), on the server in reverse, as the privacy mechanisms of pfl-research are. Compression,
rotation and the poisoning by an attacker are transforms.

A transform needs to know nothing of privacy: where clients add the noise it sees a change that has it already, and
where the server clips, the server clips what was decoded (see `fedrec.transforms.pipeline`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.core.registry import Registry
from fedrec.core.seeding import Label, rng_for

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name."""


@dataclass(frozen=True)
class Sender:
    """Who encodes a change, and when.

    Attributes:
        client: Number of the client, in `[0, clients)`.
        round: Number of the round, from 1.
        clients: How many clients the run has.
        seed: The experiment's seed, which is public.
        place: Place of the transform in the experiment's list, from 0: the same transform twice draws twice.
    """

    client: int
    round: int
    clients: int = 1
    seed: int = 0
    place: int = 0

    def rng(self, *name: Label) -> np.random.Generator:
        """Return the generator of the draw `name` of this client in this round."""
        return rng_for(self.seed, "transform", self.place, *name, self.round, self.client)

    def lasting_rng(self, *name: Label) -> np.random.Generator:
        """Return the generator of the draw `name` that is the same for all clients and in all rounds."""
        return rng_for(self.seed, "transform", self.place, *name)


class Transform(ABC):
    """One step between a client's change and what travels; its options are arguments of the constructor.

    Both halves are pure: they draw from the sender alone, and leave what they are given as it was. An instance is
    shared by all clients of a process, so it holds options and no state; see `StatefulTransform` for what a client is
    to remember.
    """

    @abstractmethod
    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Return what the client sends for a change.

        Args:
            change: The change of the adapter by parameter name, float32; behind another transform, what that one
                returned. NaN or infinity is possible, and should be decoded to NaN or infinity, so that the server
                rejects it.
            sender: Who encodes, with its named draws.

        Returns:
            Arrays of any names, shapes and types; all that `decode` needs.
        """

    @abstractmethod
    def decode(self, received: Arrays) -> Arrays:
        """Return the change as far as it can be told from what travelled.

        Args:
            received: What a client says it encoded. It came over the wire: whatever is raised here rejects that
                client's reply as unreadable.

        Returns:
            Arrays of the names, shapes and types that `encode` was given.
        """


class StatefulTransform(Transform):
    """A transform whose client half remembers something from round to round, as error feedback does.

    What a client keeps lies with its private parameters, and survives a restart as they do. It never travels.
    """

    @abstractmethod
    def kept_start(self, change: Arrays) -> Arrays:
        """Return what a client keeps before its first round, by name.

        Args:
            change: Some change, for names, shapes and types.
        """

    @abstractmethod
    def encode_and_keep(self, change: Arrays, sender: Sender, kept: Arrays) -> tuple[Arrays, Arrays]:
        """Return what the client sends for a change, and what it keeps.

        Args:
            change: As in `encode`.
            sender: As in `encode`.
            kept: What the client kept after its last round.

        Returns:
            What is sent, as `encode` returns it; and what is kept, of the names, shapes and types of `kept_start`.
        """

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Return what a client sends in its first round."""
        return self.encode_and_keep(change, sender, self.kept_start(change))[0]


TRANSFORMS: Registry[type[Transform]] = Registry("transform", group="fedrec.transforms")
