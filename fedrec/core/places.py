"""Where things lie unless the user says otherwise."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedrec.core.errors import AcquireError

CACHE = "FEDREC_CACHE"
"""Environment variable that names the cache."""

PUBLIC = "public"
"""Folder of a run that holds what a deployment could publish."""

PRIVATE = "private"
"""Folder of a run that holds what only a simulation can see: data, checkpoints, exact counts, the noise key."""


def default_cache() -> Path:
    """Return the cache of downloads and item vectors: FEDREC_CACHE, or the user's cache folder."""
    import pooch  # and with it a client for downloads, which those who only read text inputs need not have

    return Path(os.environ.get(CACHE) or pooch.os_cache("fedrec"))


@contextmanager
def writing_to_cache(folder: Path) -> Iterator[None]:
    """Make a folder of the cache for the work inside, which ends in an error with advice if it cannot be written.

    It is tried first, so that no long work is done in vain.

    Raises:
        AcquireError: If the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        yield
    except OSError as error:
        message = (
            f"the cache folder {folder} cannot be written ({error.strerror or error}); make it writable and make room "
            f"there, or set {CACHE} to another folder"
        )
        raise AcquireError(message) from error
