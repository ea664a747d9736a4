"""Experiments with a privacy claim, written by the keys that matter."""

from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import UnitCounts

UNITS = UnitCounts(users=660, examples=60_000, clients=20)


def experiment(**changes):
    """Build an experiment from `section__key=value`, with epsilon 8 unless given."""
    tree = {"privacy": {"epsilon": 8.0}}
    for path, value in changes.items():
        section, _, key = path.rpartition("__")
        (tree.setdefault(section, {}) if section else tree)[key] = value
    return Experiment.model_validate(tree)


CENTRAL = {"privacy__trust": "central", "federation__partition": "users"}
SECURE = {"privacy__trust": "secure-aggregation", "federation__partition": "users"}
PRIVATE_N = CENTRAL | {
    "privacy__adjacency": "add-remove",
    "privacy__delta": 1e-5,
    "federation__sampling": "poisson",
    "federation__participation": 0.1,
    "federation__declared_cohort": 50.0,
}
