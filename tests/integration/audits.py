"""Small audits: thirty users, a client each, and canaries; prepared once."""

from pathlib import Path
from typing import Any

from fedrec.attacks.audit.verdict import Verdict
from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import prepare
from simulations.attacks.audit import Audit, audit_prepared
from tests.tiny import new_run, tiny

LOCAL = {"trust": "local", "clip_norm": 0.1, "delta": 1e-5}
SECRET = {"trust": "secure-aggregation", "clip_norm": 0.5, "delta": 1e-5}
SHUFFLED = {**LOCAL, "shuffled": True}
CENTRAL = {"trust": "central", "clip_norm": 0.5, "delta": 1e-5}
BANDED = {**CENTRAL, "bands": 2}
"""Wants at most half of the clients in a round."""
ADAPTIVE = {**CENTRAL, "adaptive_clip": {"quantile": 0.5, "noise": 0.2}}
COUNTS = {**CENTRAL, "item_counts": {"share": 0.25}}
FILTERED = {**CENTRAL, "filter_rounds": 2}
"""Half of the four rounds at the clip norm."""
BIAS = {"adapter": {"private": ()}}
"""Lets the item bias travel, which item counts are added to."""
SHARDS = {"partition": "shards", "clients": 3}
HALF = {"federation": {"participation": 0.5}}


def skellam(bits: int) -> dict[str, Any]:
    """Return the privacy section of a secret sum with Skellam noise."""
    return {**SECRET, "secure_aggregation": {"noise": "skellam", "bits": bits}}


def drawn(sampling: str, participation: float = 0.25) -> dict[str, Any]:
    """Return what draws cohorts so, of clients that keep nothing between rounds."""
    return {"federation": {"participation": participation, "sampling": sampling, "min_replies": 0}, **BIAS}


def small(privacy: dict[str, Any], **changes: Any) -> Experiment:
    """Return the experiment: four rounds of everybody, unless changed; epsilon is that of the tiny one."""
    base = {"rounds": 4, "split": {"public": 0.95}, "evaluation": {"every": 100}}
    federation = {"partition": "users", **changes.pop("federation", {})}
    return tiny(privacy=privacy, federation=federation, **{**base, **changes})


class Audits:
    """Audits of what is prepared in a folder, with the clients of `federation`."""

    def __init__(self, folder: Path, cache: Path, **federation: Any) -> None:
        self.folder, self.federation = folder, federation
        prepare(small(LOCAL, federation=federation), folder / "prepared", cache, silent)

    def of(self, privacy: dict[str, Any], asked: Audit | None = None, **changes: Any) -> Verdict:
        """Return the verdict of an audit."""
        place = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        changes["federation"] = {**self.federation, **changes.get("federation", {})}
        return audit_prepared(small(privacy, **changes), self.folder / "prepared", place, asked or Audit(), silent)

    def run(self, privacy: dict[str, Any], **changes: Any) -> RunDirectory:
        """Return a new run without canaries."""
        place = self.folder / f"run-{len(list(self.folder.iterdir()))}"
        return new_run(place, self.folder / "prepared", small(privacy, **changes))
