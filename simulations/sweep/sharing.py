"""Preparation that several trials have in common: done once, then linked into each run directory.

Two trials share it if their experiments agree on every key but those of `NOT_READ`, so a key that is new to the
experiment counts as an input until somebody shows that it is none. `tests/integration/test_sweep_sharing.py` watches
what `fedrec.run.preparation.prepare` reads. Prepared files are never edited in place, only replaced, so a hard link
serves as well as a copy and takes no room.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrec.core.checksums import FILE as CHECKSUMS
from fedrec.core.files import replacing
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.run.preparation import is_prepared, prepare

NOT_READ = frozenset(
    {
        "rounds",
        "adapter.name",
        "adapter.rank",
        "adapter.targets",
        "adapter.item_projection",
        "adapter.item_bias",
        "adapter.query_projection",
        "adapter.score_head",
        "adapter.freeze_a",
        "adapter.private",
        "training.optimizer",
        "training.lr",
        "training.steps",
        "training.sampling_rate",
        "federation.participation",
        "federation.sampling",
        "federation.min_replies",
        "federation.timeout",
        "federation.max_update_norm",
        "strategy.name",
        "strategy.options",
        "transforms",
        "privacy.epsilon",
        "privacy.delta",
        "privacy.unit",
        "privacy.trust",
        "privacy.clip_norm",
        "privacy.noise_multiplier",
        "privacy.noise_key",
        "privacy.budget",
        "privacy.bands",
        "privacy.population",
        "privacy.adaptive_clip.quantile",
        "privacy.adaptive_clip.lr",
        "privacy.adaptive_clip.noise",
        "privacy.item_counts.share",
        "privacy.item_counts.clip_norm",
        "privacy.secure_aggregation.dropouts",
        "privacy.secure_aggregation.colluding",
        "privacy.secure_aggregation.noise",
        "privacy.secure_aggregation.bits",
        "privacy.secure_aggregation.masked_rounds",
        "evaluation.cutoffs",
        "evaluation.every",
        "evaluation.select",
        "evaluation.central_epochs",
        "evaluation.central_lr",
        "evaluation.controls",
        "evaluation.groups",
        "evaluation.kinds",
        "evaluation.private.delta",
        "evaluation.private.form",
        "evaluation.private.change_bound",
    }
)
"""Keys that no byte of a prepared folder depends on. The adapter is tried on for size before anything is prepared, as
it is for every trial of a sweep before the first one runs."""


def preparation_key(experiment: Experiment) -> str:
    """Return the hash of all that the preparation depends on."""
    inputs = _without(experiment.model_dump(mode="json"), "")
    return hashlib.sha256(canonical_json(inputs).encode()).hexdigest()[:16]


def prepare_once(experiment: Experiment, shared: Path, cache: Path, progress: Progress) -> Path:
    """Return the prepared folder of this experiment and its like, made by whichever process comes first.

    The others wait. What a killed process left is made anew.
    """
    folder = shared / preparation_key(experiment)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_prepared(folder):
            shutil.rmtree(folder, ignore_errors=True)
            prepare(experiment, folder, cache, progress)
    return folder


def link(prepared: Path, into: Path) -> None:
    """Put the files of a prepared folder into another place, as links where the disk has them; checksums come last.

    Whatever is there already stays: a link is whole or not there, and so is a copy.
    """
    files = [path for path in sorted(prepared.rglob("*")) if path.is_file() and path.name != CHECKSUMS]
    for path in (*files, prepared / CHECKSUMS):
        place = into / path.relative_to(prepared)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(path)
        except FileExistsError:
            continue
        except OSError:  # another disk, or one without links
            with path.open("rb") as source, replacing(place) as copy:
                shutil.copyfileobj(source, copy)


def _without(tree: Mapping[str, Any], above: str) -> dict[str, Any]:
    kept = {}
    for key, value in tree.items():
        dotted = f"{above}{key}"
        if dotted not in NOT_READ:
            kept[key] = _without(value, f"{dotted}.") if isinstance(value, dict) else value
    return kept
