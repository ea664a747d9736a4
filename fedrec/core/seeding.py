"""Every draw has a name: generators derived from a seed and a path of labels, never from global state.

Two draws with different names are independent; the same name always gives the same draw, whatever ran
before it. That makes runs reproducible, resumable and independent of engines and worker counts.
"""

import hashlib

import numpy as np
import torch

Label = str | int


def seed_for(seed: int, *name: Label) -> int:
    """Return a 63-bit seed for the draw called `name` under `seed`.

    Strings and integers are kept apart (`"1"` and `1` name different draws).
    """
    text = "\x1f".join([repr(int(seed)), *(repr(label) for label in name)])
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def rng_for(seed: int, *name: Label) -> np.random.Generator:
    """Return the numpy generator of the draw called `name`."""
    return np.random.default_rng(seed_for(seed, *name))


def torch_generator_for(seed: int, *name: Label) -> torch.Generator:
    """Return the CPU torch generator of the draw called `name`."""
    return torch.Generator().manual_seed(seed_for(seed, *name))
