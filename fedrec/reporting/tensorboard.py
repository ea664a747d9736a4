"""A run's rounds as TensorBoard scalars, for those who like to watch."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedrec.core.errors import ConfigError

TAGS = {
    "loss": "validation/loss",
    "epsilon": "privacy/epsilon",
    "cohort": "round/cohort",
    "replies": "round/replies",
    "upload_bytes": "round/upload_bytes",
    "download_bytes": "round/download_bytes",
    "seconds": "round/seconds",
    "update_norm": "round/update_norm",
}
"""Key of a metrics line -> tag."""


class TensorBoardObserver:
    """Writes each metrics line as scalars; the step is the round.

    A resumed run computes its last rounds again. The first line seen says from which round on whatever older
    event files hold is void (`purge_step`), so that no step is shown twice. Every round is flushed: a killed
    run keeps what it had told.

    Args:
        folder: Where the event files go; created with the first line.

    Raises:
        ConfigError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = (
                f"TensorBoard events were asked for, but tensorboard cannot be imported ({error}); "
                "pip install fedrec[tensorboard], or run without it"
            )
            raise ConfigError(message) from error
        self._folder = folder
        self._open = SummaryWriter
        self._writer: SummaryWriter | None = None

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Write one metrics line; values that are missing, nan or infinite are left out."""
        step = int(line["round"])
        if self._writer is None:
            self._writer = self._open(str(self._folder), purge_step=step)
        for tag, value in scalars(line):
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file; a further line would open another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield tag and value of every finite number in a metrics line."""
    values = {tag: line.get(key) for key, tag in TAGS.items()}
    values["round/rejected"] = sum((line.get("rejected") or {}).values())
    for case, metrics in (line.get("validation") or {}).items():
        values |= {f"validation/{case}/{name}": value for name, value in metrics.items()}
    for tag, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield tag, float(value)
