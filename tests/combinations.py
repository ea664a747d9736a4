"""The grid of all that might be claimed, made of what the experiment's keys may be, and why cells have no claim."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from fedrec.experiment.config import Experiment, Sampling
from fedrec.experiment.privacy import Adjacency, PrivacyConfig, SecureAggregationConfig

USERS, EXAMPLES, SHARDS = 561, 50_000, 20
MANY = 20_000
"""Users who hide each other's messages."""


def values(section: type, key: str) -> tuple[Any, ...]:
    """Return what a key of a section may be."""
    return get_args(section.model_fields[key].annotation)


OPTIONS: dict[str, dict[str, Any]] = {
    "alone": {},
    "bands": {"privacy": {"bands": 2}},
    "adaptive clip": {"privacy": {"adaptive_clip": {"quantile": 0.5, "noise": 0.5}}},
    "filters": {"privacy": {"filter_rounds": 2}},
    "item counts": {"privacy": {"epsilon": 4.0, "noise_multiplier": None, "item_counts": {"share": 0.25}}},
    "population": {"privacy": {"population": None}},
    "shuffled": {
        "federation": {"participation": 1.0, "min_replies": MANY},
        "training": {"steps": 1, "sampling_rate": 1.0},
        "privacy": {"shuffled": True, "noise_multiplier": 7.5},
    },
}
"""What can be asked for beside the axes; the population is twice the clients."""
ONLY_CENTRAL = {"bands", "adaptive clip", "filters", "item counts", "population"}
WITHOUT_A_PRICE = {"epsilon", "delta", "clip_norm", "noise_multiplier", "noise_key", "budget"}
"""Keys whose values are numbers that the oracles are told, or that no price depends on."""
AXES = {"adjacency", "unit", "trust", "secure_aggregation"}


@dataclass(frozen=True)
class Combination:
    """One cell of the grid."""

    unit: str
    trust: str
    noise: str
    sampling: Sampling
    adjacency: str
    example: str
    own: bool
    option: str

    @property
    def experiment(self) -> Experiment:
        """Twelve rounds of it."""
        tree: dict[str, dict[str, Any]] = {
            "federation": {
                "partition": "users" if self.own else "shards",
                "clients": SHARDS,
                "participation": 1 / 3,
                "sampling": self.sampling,
                "declared_cohort": 200.0 if self.adjacency == "add-remove" else None,
            },
            "model": {"window": 4},
            "training": {"example": self.example, "sampling_rate": 0.2, "steps": 3},
            "privacy": {
                "unit": self.unit,
                "trust": self.trust,
                "adjacency": self.adjacency,
                "noise_multiplier": 3.0,
                "delta": 1e-5 if self.adjacency == "add-remove" else None,
                "secure_aggregation": {"noise": self.noise, "bits": 32 if self.noise == "gaussian" else 20},
            },
        }
        for section, keys in OPTIONS[self.option].items():
            tree[section] |= keys
        if self.option == "population":
            tree["privacy"]["population"] = 2 * (USERS if self.own else SHARDS)
        return Experiment.model_validate({"rounds": 12, **tree})

    @property
    def name(self) -> str:
        """For people."""
        own = "own client" if self.own else "shards"
        return "-".join(
            (self.unit, self.trust, self.noise, self.sampling, self.adjacency, self.example, own, self.option)
        )


REFUSED: Mapping[str, Callable[[Combination], bool]] = {
    "a sum of whole changes protects users who are clients, or clients": lambda of: (
        of.trust != "local" and not (of.unit == "platform" or (of.unit == "user" and of.own))
    ),
    "local noise is on examples: of all users one, or examples": lambda of: (
        of.trust == "local" and (of.unit == "platform" or (of.unit == "user" and of.example == "prefix"))
    ),
    "secret sums know who is in them, always as many": lambda of: (
        of.trust == "secure-aggregation" and of.sampling != "fixed"
    ),
    "only a trusted server correlates noise, adapts clip norms, filters, counts or pretends": lambda of: (
        of.trust != "central" and of.option in ONLY_CENTRAL
    ),
    "filters have a price for cohorts that are no secret": lambda of: of.option == "filters" and of.sampling != "fixed",
    "correlated noise has a price for turns with coins or without": lambda of: (
        of.option == "bands" and of.sampling not in {"fixed", "poisson"}
    ),
    "a private number of units needs coins, and nothing that is made of the number": lambda of: (
        of.adjacency == "add-remove"
        and (of.trust, of.unit, of.sampling, of.option in {"bands", "population"})
        != ("central", "user", "poisson", False)
    ),
    "other data has no price where one makes room for another, or in bins": lambda of: (
        of.adjacency == "replace-one"
        and of.trust == "central"
        and of.sampling in {"without-replacement", "balls-in-bins"}
    ),
    "an interaction sits in many prefixes, whose replacement has no price": lambda of: (
        of.adjacency == "replace-one" and (of.unit, of.example) == ("example", "prefix")
    ),
    "messages hide each other where each user sends one, always": lambda of: (
        of.option == "shuffled" and (of.trust, of.unit, of.own, of.sampling) != ("local", "user", True, "fixed")
    ),
}
"""Why a combination has no claim."""


def combinations() -> list[Combination]:
    """Return the whole grid; noise is an axis of secret sums alone."""
    axes = (
        values(PrivacyConfig, "unit"),
        values(PrivacyConfig, "trust"),
        values(SecureAggregationConfig, "noise"),
        get_args(Sampling),
        get_args(Adjacency),
        ("sequence", "prefix"),
        (True, False),
        OPTIONS,
    )
    found = [Combination(*cell) for cell in product(*axes)]
    return [cell for cell in found if cell.trust == "secure-aggregation" or cell.noise == "gaussian"]


GRID = combinations()
LEGAL = [cell for cell in GRID if not any(broken(cell) for broken in REFUSED.values())]
