"""The frontier: what a sweep's trials say together of utility against epsilon.

A *setting* is all that was varied but the replicates (seed, split_seed) and what decides epsilon. Each setting gives a
curve: a point for each epsilon, over the splits and seeds that share it. Pure functions of what the trials wrote.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedrec.evaluation.groups import ACTIVITY, MIN_GROUP
from fedrec.evaluation.statistics.replicates import Estimate, Scored, estimate
from fedrec.experiment.config import canonical_json
from fedrec.metrics.accuracy import mean_over_users, range_of
from fedrec.reporting.judged import FEDERATED, Judged
from fedrec.reporting.reading import Reading, reading
from fedrec.reporting.run.tables import LABELS
from fedrec.reporting.wording import Summary, get_path, number

REPLICATES = ("seed", "split_seed")
"""What repeats a setting: trials that differ in these alone are one point."""

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
        split: Whom it was judged on (`fedrec.reporting.judged.split_name`).
        judged: What each test user got; None if it is not finished, or was by a version that did not keep it.
    """

    fingerprint: str
    point: Mapping[str, Any]
    seed: int
    label: str
    folder: str
    summary: Summary | None
    split: str = ""
    judged: Judged | None = field(default=None, compare=False, repr=False)

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


@dataclass(frozen=True)
class Measure:
    """One number of a trial: the mean over its test users of a metric.

    Attributes:
        target: What of each user was judged.
        metric: With its cut-off if it has one.
        recommender: The federated one, or a control's name.
        group: Attribute and value of the users that it is over; all users if empty.
    """

    target: str
    metric: str
    recommender: str = FEDERATED
    group: tuple[str, str] | tuple[()] = ()

    def of(self, summary: Summary | None) -> float:
        """Return the mean that a summary holds; nan where it lacks it, or the group is too small to compare."""
        if self.group:
            attribute, name = self.group
            found = get_path(summary, "groups", self.target, "groups", attribute)
            large = number(get_path(found, "sizes", name)) >= MIN_GROUP
            return number(get_path(found, "means", self.metric, name)) if large else math.nan
        above = ("metrics",) if self.recommender == FEDERATED else ("controls", self.recommender)
        return number(get_path(summary, *above, "test", self.target, self.metric))

    def scored(self, result: TrialResult) -> Scored | None:
        """Return what each of the users got; None where it was not kept."""
        found = None if result.judged is None else result.judged.of(self.recommender, self.target, self.metric)
        if found is None or result.judged is None:
            return None
        users, values = found
        if self.group:
            attribute, name = self.group
            within = result.judged.groups[self.target][attribute] == name
            users, values = users[within], values[within]
        return Scored(result.split, result.seed, users, values)


@dataclass(frozen=True, eq=False)
class FrontierPoint:
    """Trials that differ in their split and their seed only, at least one."""

    results: tuple[TrialResult, ...]

    @property
    def setting(self) -> dict[str, Any]:
        """Every other varied key with its value."""
        return {key: value for key, value in self.results[0].point.items() if key not in REPLICATES}

    @property
    def epsilon(self) -> float:
        """The largest claim among them, so that nothing is drawn as more private than it is."""
        return max(result.epsilon for result in self.results)

    @property
    def splits(self) -> int:
        """How many user splits its trials have."""
        return len({result.split for result in self.results})

    @property
    def seeds(self) -> int:
        """How many different seeds."""
        return len({result.seed for result in self.results})

    def estimate(self, measure: Measure) -> Estimate:
        """Return a number over users, splits and seeds, of the trials that have it.

        Without a standard error where a trial kept no user's value: nobody can say then how users differ.
        """
        having = [result for result in self.results if not math.isnan(measure.of(result.summary))]
        scored = [one for result in having if (one := measure.scored(result)) is not None]
        if len(scored) == len(having):
            return estimate(scored, range_of(measure.metric))
        mean = mean_over_users(np.array([measure.of(result.summary) for result in having]))
        return Estimate(mean, math.nan, math.nan, 0, self.splits, self.seeds)

    def validation(self, target: str, metric: str) -> float:
        """Return the mean over trials of what their validation users got: by this a setting may be picked."""
        found = [number(get_path(result.summary, "metrics", "validation", target, metric)) for result in self.results]
        return mean_over_users(np.array(found))


@dataclass(frozen=True, eq=False)
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
            label = _words(result.point, (*REPLICATES, *EPSILON_KEYS))
            if result.population:
                label = f"{label}, EXTRAPOLATED to {result.population:,} units".removeprefix(", ")
            points = settings.setdefault(label, {})
            points.setdefault(_words(result.point, REPLICATES), []).append(result)
    return [
        Curve(
            label,
            tuple(sorted((FrontierPoint(tuple(found)) for found in points.values()), key=lambda one: one.epsilon)),
        )
        for label, points in settings.items()
    ]


def in_order(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials sorted by their varied keys: numbers by size, before texts; infinity last of the numbers."""
    return sorted(results, key=lambda one: (rank_of(one.point), one.fingerprint))


def rank_of(point: Mapping[str, Any]) -> list[tuple[int, float, str]]:
    """Return what sorts points of the same keys by their values."""
    return [_rank(point[key]) for key in sorted(point)]


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, value if isinstance(value, str) else canonical_json(value))


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
            value = open_point.estimate(Measure(target, metric)).mean
            lines.append((_named("Federation without privacy", curve.label), value))
    for name in REFERENCES:
        values = {
            curve.label: FrontierPoint(tuple(result for point in curve.points for result in point.results))
            .estimate(Measure(target, metric, name))
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


def best_of(curves: Sequence[Curve], read: Reading) -> tuple[Curve, FrontierPoint] | None:
    """Return the point that validation users like best, by the headline; None where none of them was asked.

    Test users have no part in it: their scores are told of the setting that others picked.
    """
    scores = {
        (curve, point): read.gain(value)
        for curve in curves
        for point in curve.points
        if not math.isnan(value := point.validation(read.target, read.metric))
    }
    return max(scores, key=lambda key: scores[key]) if scores else None
