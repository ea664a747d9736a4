"""From what was asked to trials: every experiment made and judged before anything runs, all mistakes at once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import tomli_w

from fedrec.core.errors import ConfigError, UserError
from fedrec.core.own_code import search_also
from fedrec.core.registry import Registry
from fedrec.experiment.config import Experiment
from fedrec.experiment.mistakes import evaluator
from fedrec.privacy.accounting.trial_draw import Draw
from fedrec.run.trainable import require_trainable
from server.strategies.build import check_strategy
from simulations.engine.base import check_engine
from simulations.sweep.grid import Asked, Axis, FrontierPoint, label, laid_over

ENGINE = "inprocess"
"""Where the clients of a trial work: several trials at once use the cores already."""

SHOWN_MISTAKES = 20

Registries = Mapping[str, Registry[Any]]


@dataclass(frozen=True)
class Trial:
    """One experiment of a sweep, and its point: each key varied there with the value that the experiment has.

    Attributes:
        pick: Number of a trial that was drawn, from 1, as one setting may be picked twice; None in a grid.
    """

    experiment: Experiment
    point: FrontierPoint
    pick: int | None = None

    @property
    def fingerprint(self) -> str:
        """The experiment's."""
        return self.experiment.fingerprint

    @property
    def key(self) -> str:
        """What tells it from the other trials of its sweep."""
        return self.fingerprint if self.pick is None else f"pick-{self.pick:05d}"

    @property
    def label(self) -> str:
        """The point, for people."""
        return label(self.point)


@dataclass(frozen=True)
class Plan:
    """A sweep whose experiments have passed every check that needs no data.

    Attributes:
        name: Of the scenario or file.
        trials: In the order of the grid; points that give the same experiment are one trial.
        axes: What is varied, as asked.
        draw: How the number of trials is drawn, each of them one of `trials`; None for all of them.
    """

    name: str
    trials: tuple[Trial, ...]
    axes: tuple[Axis, ...]
    draw: Draw | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the trials' fingerprints, in whatever order they were asked for."""
        return hashlib.sha256("\n".join(sorted(trial.fingerprint for trial in self.trials)).encode()).hexdigest()

    def to_toml(self) -> str:
        """Return the sweep as a file that `fedrec sweep` takes: the same trials, and what each of them is."""
        base = self.trials[0].experiment.model_dump(mode="json", exclude_none=True)
        trials = {trial.fingerprint: dict(trial.point) for trial in self.trials}
        over, alone = (
            {axis.key: list(axis.values) for axis in self.axes if axis.alone is kind} for kind in (False, True)
        )
        drawn = {} if self.draw is None else {"draw": asdict(self.draw)}
        tree = {**base, "sweep": {"name": self.name, **drawn, "over": over, "alone": alone, "trials": trials}}
        return "# Made by `fedrec sweep`, which also takes this file. [sweep.trials] tells and is not read.\n" + (
            tomli_w.dumps(json.loads(json.dumps(tree, default=str)))
        )


def plan_sweep(asked: Asked, registries: Registries) -> Plan:
    """Return the checked trials.

    Raises:
        ConfigError: If anything is wrong anywhere in the grid; the message lists every mistake once.
    """
    for folder in asked.written.folders:
        search_also(folder)  # code of the user's own may lie beside the file
    trials: dict[str, Trial] = {}
    found: dict[str, list[str]] = {mistake: [] for mistake in asked.mistakes}
    places = {axis.key: axis.place for axis in asked.axes}
    count = 0
    for point in asked.points() if asked.axes else ():
        count += 1
        experiment, mistakes = _judged(asked, point, places, registries)
        for mistake in mistakes:
            found.setdefault(mistake, []).append(label(point))
        trial = Trial(experiment, {key: _value_at(experiment, key) for key in point})
        trials.setdefault(trial.fingerprint, trial)
    if found:
        raise ConfigError(_listed(found, count))
    return Plan(asked.name, tuple(trials.values()), asked.axes, asked.draw)


def _judged(
    asked: Asked, point: FrontierPoint, places: Mapping[str, str], registries: Registries
) -> tuple[Experiment, list[str]]:
    written = laid_over(asked.written, point, places)
    experiment, found = evaluator(written.tree, registries)
    mistakes = []
    for one in found:
        # what an unreadable file would have set is unknown, so only what was read can be blamed
        place = next((place for keys in one.about if (place := written.place_of(keys))), "")
        if written.whole or all(written.place_of(keys) for keys in one.about):
            mistakes.append(f"{place}: {one.reason}" if place else one.reason)
    if not mistakes and not asked.mistakes:
        for check in (check_strategy, require_trainable, lambda found: check_engine(found, ENGINE)):
            try:
                check(experiment)
            except UserError as error:
                mistakes.append(str(error))
    return experiment, mistakes


def _value_at(experiment: Experiment, key: str) -> Any:
    value: Any = experiment.model_dump()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return list(value) if isinstance(value, tuple) else value


def _listed(found: Mapping[str, list[str]], count: int) -> str:
    lines = [mistake + _where(labels, count) for mistake, labels in found.items()]
    if len(lines) == 1:
        return lines[0]
    shown, left = lines[:SHOWN_MISTAKES], len(lines) - SHOWN_MISTAKES
    more = [f"and {left} more"] if left > 0 else []
    return "\n  ".join([f"{len(lines)} mistakes:", *shown, *more])


def _where(labels: list[str], count: int) -> str:
    if len(labels) in {0, count}:
        return ""
    return f" (in {len(labels)} of {count} trials, the first is {labels[0]})"
