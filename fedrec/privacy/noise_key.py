"""The key behind a run's secret draws: its noise, its Poisson cohorts and its Poisson batches.

An experiment's seed is published with the experiment, so nothing that privacy rests on may follow from it. Unless an
experiment fixes `privacy.noise_key`, every run draws a key of its own from the operating system and keeps it in its
private part; whoever has a key can take the noise off what it was added to. Two runs that share seed and fixed key
share their noise, up to scale.

The generators behind the draws (numpy's PCG64, torch's Mersenne twister) simulate noise; they are not cryptographic.
"""

import secrets
from pathlib import Path

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.seeding import seed_for
from fedrec.experiment.config import Experiment

FILE = "noise.key"
BITS = 256


def write_noise_key(folder: Path) -> None:
    """Write a fresh key into a run's private folder, readable by its owner alone."""
    write_key(folder / FILE)


def write_key(file: Path) -> None:
    """Write a fresh key of the operating system, readable by its owner alone."""
    write_whole(file, f"{secrets.randbits(BITS):x}\n", mode=0o600)


def secret_seed(experiment: Experiment, folder: Path) -> int:
    """Return the seed of a run's secret draws.

    Without privacy nothing is secret: it is the experiment's seed.

    Args:
        experiment: What is computed.
        folder: The run's private folder, with the key that `write_noise_key` wrote.

    Raises:
        RunError: If the key cannot be read: another one would make a resumed run release its rounds twice.
    """
    privacy = experiment.privacy
    if not privacy.on:
        return experiment.seed
    if privacy.noise_key is not None:
        return seed_for(experiment.seed, "noise key", privacy.noise_key)
    return read_key(folder / FILE, "noise key", "a new run")


def read_key(file: Path, name: str, anew: str) -> int:
    """Return the key that `write_key` wrote.

    Args:
        file: Where it lies.
        name: What it is called in an error.
        anew: What may be started instead, in an error.

    Raises:
        RunError: If it cannot be read.
    """
    try:
        return int(file.read_text(encoding="utf-8"), 16)
    except (OSError, ValueError) as error:
        message = f"the {name} {file} cannot be read ({error}); restore it, or start {anew}"
        raise RunError(message) from error
