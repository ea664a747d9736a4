"""Trials of a sweep, made by hand, for tests of the frontier."""

import json
import math
from typing import Any

import numpy as np

from fedrec.experiment.config import canonical_json
from fedrec.reporting.frontier.points import (
    Measure,
    TrialResult,
    value_text,
)
from fedrec.reporting.judged import Judged
from tests.handmade import NEXT_ITEM

NDCG = "ndcg@10"
LAST20 = Measure("last20", NDCG)

APART = np.array([-0.03, -0.01, 0.01, 0.03])
"""How the four test users of a trial differ from their mean."""
ERROR = math.sqrt(20e-4 / 3 / 4)
"""Standard error of that mean: the variance is (9 + 1 + 1 + 9) / 3 * 1e-4; it is .0129."""
T_OF_3 = 3.182446305284263
"""Student's t at 97.5 % with 3 degrees of freedom, as in any table."""


def summary(value: float, claimed: float, central: float = 0.3, noise_key: str = "fresh") -> dict[str, Any]:
    """Return the `summary.json` of a trial, as read from its file."""
    groups = {
        "activity": {
            "sizes": {"low": 9, "high": 9, "mid": 4},
            "means": {NDCG: {"low": value / 2, "high": value, "mid": 1}},
        }
    }
    scores = {case: {NDCG: number} for case, number in (("last20", value), ("last", value / 4))}
    found = {
        "parameters_sha256": "ab",
        "task": NEXT_ITEM,
        "chosen_round": 2,
        "metrics": {"test": scores, "validation": scores},
        "intervals": {"last20": {NDCG: [value - 0.01, value + 0.01]}},
        "groups": {"last20": {"groups": groups}},
        "controls": {
            name: {"test": {case: {NDCG: level} for case in ("last20", "last")}}
            for name, level in (("base", 0.05), ("central", central))
        },
        "privacy": {
            "epsilon": claimed,
            "delta": 1e-3,
            "unit": "user",
            "trust": "local",
            "releases_per_unit": 20,
            "noise_key": noise_key,
        },
        "timing": {"rounds": 3.5 * value},
    }
    return json.loads(canonical_json(found))


def judged(value: float, first: int = 0) -> Judged:
    """Return four users' values, of a trial and of its base."""
    users = np.arange(first, first + 4)
    of = {
        name: {case: (users, {NDCG: level + APART}) for case, level in (("last20", last20), ("last", last))}
        for name, last20, last in (("federated", value, value / 4), ("base", 0.05, 0.05))
    }
    return Judged(of, {"last20": {"activity": np.array(["low", "low", "high", "mid"])}})


def trial(value: float, claimed: float, seed: int = 0, central: float = 0.3, **point: Any) -> TrialResult:
    whole = {"privacy.epsilon": claimed, "seed": seed, **{key.replace("__", "."): v for key, v in point.items()}}
    name = " ".join(f"{key}={value_text(entry)}" for key, entry in whole.items())
    found, split = summary(value, claimed, central), whole.get("split_seed", 0)
    return TrialResult(name, whole, seed, name, f"trials/{name}", found, str(split), judged(value, 4 * split))
