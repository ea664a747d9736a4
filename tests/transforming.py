"""Transforms for tests; experiments name them by this file, as a user's own."""

from pathlib import Path
from typing import Any

import numpy as np

from fedrec.experiment.config import TransformConfig
from fedrec.transforms.attack import Attack
from fedrec.transforms.base import Arrays, Sender, StatefulTransform, Transform

HERE = Path(__file__).resolve()


def named(kind: type, file: Path = HERE, **options: Any) -> TransformConfig:
    """Return how an experiment names a transform of a file."""
    return TransformConfig(name=f"{file}:{kind.__name__}", options=options)


class Affine(Transform):
    """Sends `scale * change + shift`, so that the order of two of them shows."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        self.scale, self.shift = np.float32(scale), np.float32(shift)

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        return {f"sent/{name}": value * self.scale + self.shift for name, value in change.items()}

    def decode(self, received: Arrays) -> Arrays:
        return {name.removeprefix("sent/"): (value - self.shift) / self.scale for name, value in received.items()}


class Noisy(Transform):
    """Adds what its sender draws."""

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        rng = sender.rng("noise")
        return {name: value + rng.normal(size=value.shape).astype(value.dtype) for name, value in change.items()}

    def decode(self, received: Arrays) -> Arrays:
        return received


class Feedback(StatefulTransform):
    """Sends whole numbers and keeps what is left for the next round (error feedback)."""

    def kept_start(self, change: Arrays) -> Arrays:
        return {name: np.zeros_like(value) for name, value in change.items()}

    def encode_and_keep(self, change: Arrays, sender: Sender, kept: Arrays) -> tuple[Arrays, Arrays]:
        wanted = {name: value + kept[name] for name, value in change.items()}
        whole = {name: np.trunc(value).astype(np.int8) for name, value in wanted.items()}
        return whole, {name: value - whole[name] for name, value in wanted.items()}

    def decode(self, received: Arrays) -> Arrays:
        return {name: value.astype(np.float32) for name, value in received.items()}


class Garbles(Noisy):
    """Some clients send what cannot be decoded, or cannot encode at all."""

    def __init__(self, unreadable: int = -1, fails: int = -1) -> None:
        self.unreadable, self.fails = unreadable, fails

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        if sender.client == self.fails:
            message = "out of paper"
            raise ValueError(message)
        return {"nothing": np.zeros(3)} if sender.client == self.unreadable else change

    def decode(self, received: Arrays) -> Arrays:
        if "nothing" in received:
            message = "no such array"
            raise KeyError(message)
        return received


class Backwards(Attack):
    """Sends three times the change, the other way."""

    def poison(self, change: Arrays, sender: Sender) -> Arrays:
        return {name: np.float32(-3) * value for name, value in change.items()}
