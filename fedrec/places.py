"""Where things lie unless the user says otherwise."""

import os
from pathlib import Path

import pooch

from fedrec.config import Experiment

PUBLIC = "public"
"""Folder of a run that holds what a deployment could publish."""

PRIVATE = "private"
"""Folder of a run that holds what only a simulation can see: data, checkpoints, exact counts, the noise key."""


def default_cache() -> Path:
    """Return the cache of downloads and item vectors: FEDREC_CACHE, or the user's cache folder."""
    return Path(os.environ.get("FEDREC_CACHE") or pooch.os_cache("fedrec"))


def free_run(name: str, experiment: Experiment) -> Path:
    """Return `runs/<name>-<fingerprint>` under the working folder, with a number behind it if that is taken."""
    stem = f"{name}-{experiment.fingerprint[:8]}"
    path, number = Path("runs") / stem, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path
