"""The frontier: what a sweep's trials say together of utility against epsilon.

A *setting* is all that was varied but the seed and what decides epsilon. Each setting gives a curve: a point for each
epsilon, over the seeds that share it. Pure functions of the trials' summaries.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedrec.evaluation.groups import ACTIVITY, MIN_GROUP
from fedrec.evaluation.significance import Interval, seeds_interval
from fedrec.reporting.reading import reading
from fedrec.reporting.run.tables import LABELS
from fedrec.reporting.wording import Summary, get_path, number

SEED = "seed"
EPSILON_KEYS = ("privacy.epsilon", "privacy.noise_multiplier")
"""What decides epsilon: trials that differ in these alone lie on one curve."""

REFERENCES = ("base", "base_popularity", "central")
"""Controls that are drawn as lines, because privacy changes none of them."""


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        fingerprint: Of its experiment.
        point: Each varied key with the experiment's value.
        seed: The experiment's, whether varied or not.
        label: The point, for people.
        folder: Its run directory, relative to the sweep's.
        summary: Its `summary.json`; None if it is not finished.
    """

    fingerprint: str
    point: Mapping[str, Any]
    seed: int
    label: str
    folder: str
    summary: Summary | None

    @property
    def epsilon(self) -> float:
        """Where the trial is drawn: at what it claims, or would claim in the population whose noise it adds."""
        there = get_path(self.summary, "privacy", "extrapolated", "epsilon")
        return number(there) if self.population else self.spent

    @property
    def spent(self) -> float:
        """What the trial claims for its own units; inf without privacy, nan while it is not finished."""
        return math.nan if self.summary is None else number(get_path(self.summary, "privacy", "epsilon"))

    @property
    def population(self) -> int | None:
        """Units of the population whose noise it adds; None if it is its own."""
        return get_path(self.summary, "privacy", "extrapolated", "population") or None


Read = Callable[[Summary], float]
"""Reads one number of a summary; nan where it lacks it."""


@dataclass(frozen=True)
class FrontierPoint:
    """Trials that differ in their seed only."""

    results: tuple[TrialResult, ...]

    @property
    def epsilon(self) -> float:
        """The largest claim among them, so that nothing is drawn as more private than it is."""
        return max(result.epsilon for result in self.results)

    def over_seeds(self, read: Read) -> Interval:
        """Return the mean of a number with its Student t interval over the seeds that have it; nan without any."""
        values = [read(result.summary) for result in self.results if result.summary is not None]
        return seeds_interval([value for value in values if not math.isnan(value)])


@dataclass(frozen=True)
class Curve:
    """One setting: its varied values in words ("" if nothing else was varied), its points by ascending epsilon."""

    label: str
    points: tuple[FrontierPoint, ...]

    @property
    def without_privacy(self) -> FrontierPoint | None:
        """The point at infinity: the same federation without privacy."""
        last = self.points[-1]
        return last if math.isinf(last.epsilon) else None


def frontier(results: Sequence[TrialResult]) -> list[Curve]:
    """Return a curve for each setting with a finished trial, in the order of the trials."""
    settings: dict[str, dict[str, list[TrialResult]]] = {}
    for result in results:
        if result.summary is not None:
            label = _words(result.point, (SEED, *EPSILON_KEYS))
            if result.population:
                label = f"{label}, EXTRAPOLATED to {result.population:,} units".removeprefix(", ")
            points = settings.setdefault(label, {})
            points.setdefault(_words(result.point, (SEED,)), []).append(result)
    return [
        Curve(
            label,
            tuple(sorted((FrontierPoint(tuple(found)) for found in points.values()), key=lambda one: one.epsilon)),
        )
        for label, points in settings.items()
    ]


def metric_of(results: Sequence[TrialResult]) -> str:
    """Return the metric that is shown: the first finished trial's headline; "" without one."""
    return reading(*(result.summary for result in results)).metric


def score(target: str, metric: str) -> Read:
    """Read the federated model's test score."""
    return lambda summary: number(get_path(summary, "metrics", "test", target, metric))


def control_score(name: str, target: str, metric: str) -> Read:
    """Read a control's test score."""
    return lambda summary: number(get_path(summary, "controls", name, "test", target, metric))


def group_score(attribute: str, group: str, target: str, metric: str) -> Read:
    """Read the federated model's mean over a group's users; nan for a group too small to compare."""

    def read(summary: Summary) -> float:
        of = get_path(summary, "groups", target, "groups", attribute)
        large = number(get_path(of, "sizes", group)) >= MIN_GROUP
        return number(get_path(of, "means", metric, group)) if large else math.nan

    return read


def groups_of(results: Sequence[TrialResult], target: str) -> dict[str, list[str]]:
    """Return each attribute's groups that are large enough to compare in some trial; activity from low to high."""
    found: dict[str, set[str]] = {}
    for result in results:
        for attribute, of in get_path(result.summary, "groups", target, "groups").items():
            sizes = get_path(of, "sizes")
            found.setdefault(attribute, set()).update(name for name in sizes if number(sizes[name]) >= MIN_GROUP)
    order = {"low": 0, "mid": 1, "high": 2}
    return {
        attribute: sorted(names, key=lambda name: (order.get(name, 3) if attribute == ACTIVITY else 0, name))
        for attribute, names in found.items()
        if names
    }


def references(curves: Sequence[Curve], target: str, metric: str) -> list[tuple[str, float]]:
    """Return what the curves are measured against, label and value: federation without privacy, base, central training.

    Each is a mean over the trials of one setting that have it; settings with the same value share a line, which is
    then not called after any of them.
    """
    lines: list[tuple[str, float]] = []
    for curve in curves:
        if (open_point := curve.without_privacy) is not None:
            value = open_point.over_seeds(score(target, metric)).mean
            lines.append((_named("Federation without privacy", curve.label), value))
    for name in REFERENCES:
        values = {
            curve.label: FrontierPoint(tuple(result for point in curve.points for result in point.results))
            .over_seeds(control_score(name, target, metric))
            .mean
            for curve in curves
        }
        # as many digits as anybody reads, because means of the same numbers can differ in their last bits
        distinct = {round(value, 9) for value in values.values() if not math.isnan(value)}
        if len(distinct) == 1:
            lines.append((LABELS[name], distinct.pop()))
        else:
            lines += [(_named(LABELS[name], label), value) for label, value in values.items()]
    return [(label, value) for label, value in lines if not math.isnan(value)]


def _named(label: str, setting: str) -> str:
    return f"{label}, {setting}" if setting else label


def _words(point: Mapping[str, Any], left_out: Sequence[str]) -> str:
    return ", ".join(f"{key} {value_text(value)}" for key, value in point.items() if key not in left_out)


def value_text(value: Any) -> str:
    """Return a varied value for people, as one would write it on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(value_text(entry) for entry in value)}]"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def targets_of(curves: Sequence[Curve]) -> dict[str, str]:
    """Return the targets that any trial on the curves was scored on."""
    found = [result.summary for curve in curves for point in curve.points for result in point.results]
    return reading(*found).targets


def points_json(curves: Sequence[Curve], metric: str) -> list[dict[str, Any]]:
    """Return every point of the curves for programs: its setting, its epsilon, and the metric on each target."""
    targets = targets_of(curves)
    return [
        {
            "setting": curve.label,
            "epsilon": point.epsilon,
            "seeds": len(point.results),
            "trials": [result.fingerprint for result in point.results],
            "metric": metric,
            **{target: asdict(point.over_seeds(score(target, metric))) for target in targets},
        }
        for curve in curves
        for point in curve.points
    ]
