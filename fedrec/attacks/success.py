"""How well an attack did against epsilon: values that are written as JSON, shown in tables and drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedrec.evaluation.statistics.significance import Interval

Measures = Mapping[str, Mapping[str, Interval]]
"""Measure, such as "auc" -> an attack or what it is put beside, such as "guess" -> what was measured."""

BASELINES = ("guess", "random", "popularity")
"""What needs no attack."""

CEILING = "ceiling"
"""What no attack can beat."""

_LABELS = {
    "auc": "AUC",
    "tpr_at_1_percent": "TPR at 1 % FPR",
    "precision_at_10": "Precision at 10",
    "lira": "LiRA",
}


@dataclass(frozen=True)
class OperatingPoint:
    """Success at one epsilon.

    Attributes:
        epsilon: What the whole run is asked to keep; inf without privacy.
        spent: What was spent when the adversary looked, of the most exposed client; inf without privacy.
        delta: Chance of failure of both; 0 without privacy.
        measures: What was measured.
    """

    epsilon: float
    spent: float
    delta: float
    measures: Measures


@dataclass(frozen=True)
class Success:
    """An attack on one experiment at several epsilons.

    Attributes:
        attack: Its name.
        experiment: Name of the scenario or file.
        fingerprint: Of the experiment, whatever its epsilon.
        toml: The experiment as a file.
        adversary: Who attacks, what it sees and what it knows, in sentences.
        points: In the order of epsilon.
    """

    attack: str
    experiment: str
    fingerprint: str
    toml: str
    adversary: str
    points: Sequence[OperatingPoint]

    def to_json(self) -> dict[str, Any]:
        """Return everything; a value without an interval has nan bounds."""
        return asdict(self)

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Success":
        """Return what `to_json` wrote; infinity and nan may be texts."""
        points = [
            OperatingPoint(
                epsilon=float(point["epsilon"]),
                spent=float(point["spent"]),
                delta=float(point["delta"]),
                measures={
                    measure: {line: Interval(**{end: float(at) for end, at in found.items()}) for line, found in of}
                    for measure, of in ((name, lines.items()) for name, lines in point["measures"].items())
                },
            )
            for point in read["points"]
        ]
        texts = {name: str(read[name]) for name in ("attack", "experiment", "fingerprint", "toml", "adversary")}
        return cls(**texts, points=points)


def exact(value: float) -> Interval:
    """Return a value that was not estimated."""
    return Interval(value, math.nan, math.nan)


def label(name: str) -> str:
    """Return a measure or line for people: "round_result" is "round result"."""
    return _LABELS.get(name, name.replace("_", " "))
