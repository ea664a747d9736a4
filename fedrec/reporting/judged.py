"""What each test user of a finished run got, from its result and from controls: what paired comparisons are made of."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedrec.data.interactions import IntArray
from fedrec.evaluation.controls.kept import KeptControls
from fedrec.evaluation.statistics.significance import FloatArray
from fedrec.evaluation.statistics.stored import Groups, read_result
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.run.directory import TEST, RunDirectory

FEDERATED = "federated"
"""Name of a run's own result among its controls."""

Values = tuple[IntArray, Mapping[str, FloatArray]]
"""User of each case, and its value by metric."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What a run's test users got.

    Attributes:
        values: Recommender -> target -> its values.
        groups: The users' groups, by target.
    """

    values: Mapping[str, Mapping[str, Values]]
    groups: Groups

    def of(self, recommender: str, target: str, metric: str) -> tuple[IntArray, FloatArray] | None:
        """Return users, and what each got; None where it is not known."""
        users, metrics = self.values.get(recommender, {}).get(target, (None, {}))
        return None if users is None or metric not in metrics else (users, metrics[metric])


def read_judged(run: RunDirectory, controls: Iterable[str]) -> Judged | None:
    """Return what the test users of a finished run got; None of one whose version did not keep it.

    Args:
        run: The run.
        controls: Which controls to read beside the result; those that it lacks are left out.

    Raises:
        RunError: If a file is damaged.
    """
    if not (run.private / TEST).is_file():
        return None
    fingerprint = run.experiment.fingerprint
    test, groups = read_result(run.private / TEST, fingerprint)
    kept = KeptControls(run.private / "controls", fingerprint)
    found = {name: one.control.test for name in controls if (one := kept.read(name)) is not None}
    values = {
        name: {target: (of.users, of.per_user) for target, of in evaluations.items()}
        for name, evaluations in {FEDERATED: test, **found}.items()
    }
    return Judged(values, groups)


def split_name(experiment: Experiment) -> str:
    """Return what experiments have in common whose test users are the same, as text: data, split and its seed."""
    sections = {name: section.model_dump(mode="json") for name, section in experiment.data_sections.items()}
    dealt = {"data": sections, "split": experiment.split.model_dump(mode="json"), "seed": experiment.split_seed}
    return f"{experiment.split_seed} of {hashlib.sha256(canonical_json(dealt).encode()).hexdigest()[:16]}"
