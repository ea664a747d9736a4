"""Where a new run goes unless the user says."""

from pathlib import Path

from fedrec.experiment.config import Experiment


def free_run(name: str, experiment: Experiment) -> Path:
    """Return `runs/<name>-<fingerprint>` under the working folder, with a number behind it if that is taken."""
    stem = f"{name}-{experiment.fingerprint[:8]}"
    path, number = Path("runs") / stem, 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stem}-{number}"
    return path
