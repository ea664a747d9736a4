"""A run directory with canaries in it: the experiment's own, but for what their coins must not decide."""

import math
import shutil
from pathlib import Path

import numpy as np

from fedrec.attacks.audit.canaries import Canaries
from fedrec.data.columns import write_columns
from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import ROWS, Prepared
from fedrec.tasks import open_task


def planted_run(experiment: Experiment, source: Prepared, canaries: Canaries, place: Path) -> RunDirectory:
    """Return a new run directory `place` of the experiment, prepared as `source` and with the canaries as clients."""
    run = RunDirectory.create(place, _audited(experiment, source, canaries), "audit")
    shutil.copytree(source.folder, run.private / "prepared")
    _plant(run.private / "prepared", source, canaries)
    return run


def _audited(experiment: Experiment, source: Prepared, canaries: Canaries) -> Experiment:
    """Return the experiment with its delta written down, all canaries counted: no coin may decide it.

    Masks of a secure sum are left out: they take minutes, and the sum is the same to the bit.
    """
    if not experiment.privacy.on:
        return experiment
    rows = canaries.rows_in(source.train, everybody=True)
    users = np.append(source.federation.users.values, np.arange(source.train.num_users, rows.num_users))
    counts = UnitCounts(
        users=len(users),
        examples=int(open_task(experiment).count(rows.lengths_of(users)).sum()),
        clients=len(canaries.clients_in(source.federation, source.train.num_users)),
    )
    noised = _changed(experiment, epsilon=math.inf, noise_multiplier=1.0)  # so that no noise is calibrated
    unmasked = experiment.privacy.secure_aggregation.model_copy(update={"masked_rounds": 0})
    return _changed(experiment, delta=plan(noised, counts, 1).delta, secure_aggregation=unmasked)


def _changed(experiment: Experiment, **privacy: object) -> Experiment:
    return experiment.model_copy(update={"privacy": experiment.privacy.model_copy(update=privacy)})


def _plant(folder: Path, source: Prepared, canaries: Canaries) -> None:
    """Write the canaries into a prepared folder."""
    rows = canaries.rows_in(source.train)
    write_columns(folder / "train", **{name: getattr(rows, name) for name in ROWS})
    federation = canaries.clients_in(source.federation, source.train.num_users)
    users, names = federation.users, federation.names
    write_columns(
        folder / "federation", users=users.values, bounds=users.bounds, names=names.letters, name_bounds=names.bounds
    )
