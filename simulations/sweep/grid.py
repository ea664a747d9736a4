"""What a sweep varies: axes from `--over`, `--alone` and the `[sweep]` table of an experiment file, and their points.

A file may say what to vary beside the experiment that it describes:

```toml
extends = "movielens"
[sweep.over]
seed = [0, 1, 2]
privacy.epsilon = [1, 2, 4, 8, inf]
[sweep.alone]
training.steps = [4]
adapter.freeze_a = [true]
```
Keys of `over` make a grid. Keys of `alone` are changed one at a time, at each of its points: ablations. A `[sweep]` may
say that not all of them are run, but a number that is drawn: `draw = {mean = 20, law = "logarithmic"}`. It has one more
entry, `trials`: a finished sweep writes there what it made, and nobody reads it here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from fedrec.core.errors import ConfigError
from fedrec.core.own_code import file_in
from fedrec.experiment.layers import CODE_KEYS, PATH_KEYS, Keys, Written, flatten, overlap, read_written, section_keys
from fedrec.privacy.accounting.trial_draw import DEFAULT_LAW, Draw
from fedrec.reporting.frontier.points import value_text

SWEEP = "sweep"
ENTRIES = ("name", "draw", "over", "alone", "trials")
_OPEN, _CLOSE, _QUOTES = "[{", "]}", "\"'"

FrontierPoint = Mapping[str, Any]
"""Value of each varied key, by its dotted path."""


@dataclass(frozen=True)
class Axis:
    """A key of the experiment and the values that it takes; `place` is where that was written.

    Attributes:
        alone: Whether it is changed by itself instead of with all others.
    """

    key: str
    values: tuple[Any, ...]
    place: str = "--over"
    alone: bool = False

    @property
    def keys(self) -> Keys:
        """The key as a path."""
        return tuple(self.key.split("."))


@dataclass(frozen=True)
class Asked:
    """What was asked for: the experiment around the axes, the axes, the sweep's name, and what is wrong so far.

    Attributes:
        draw: How the number of trials is drawn; None for all points.
    """

    written: Written
    axes: tuple[Axis, ...]
    name: str
    mistakes: tuple[str, ...]
    draw: Draw | None = None

    def points(self) -> Iterator[FrontierPoint]:
        """Yield every point of the grid, the last axis the fastest; after each of them what is changed there alone."""
        grid = [axis for axis in self.axes if not axis.alone]
        for values in product(*(axis.values for axis in grid)):
            point = {axis.key: value for axis, value in zip(grid, values, strict=True)}
            yield point
            yield from ({**point, axis.key: value} for axis in self.axes if axis.alone for value in axis.values)


def read_asked(
    source: str, settings: Sequence[str], over: Sequence[str], scenarios: Path | None, alone: Sequence[str] = ()
) -> Asked:
    """Read a scenario or file, settings over it, and axes; an axis of the command line replaces the file's."""
    written = read_written(source, settings, scenarios)
    fixed = read_written(None, settings, None).values
    drawn, wrong_draw = _draw_taken_(written)
    name, axes, mistakes = _taken_(written, Path(source).stem)
    mistakes += wrong_draw
    for option, entry in [*(("--over", entry) for entry in over), *(("--alone", entry) for entry in alone)]:
        axis, wrong = _axis(entry, option)
        mistakes += wrong
        axes |= {} if axis is None else {axis.key: axis}
    for axis in axes.values():
        if not axis.alone and any(overlap(axis.keys, keys) for keys in fixed):
            mistakes.append(f"{axis.place}: {axis.key} is varied, and --set fixes it; keep one of them")
        mistakes += [
            f"{axis.place}: {axis.key} lies within {other.key}, which is varied too; keep one of them"
            for other in axes.values()
            if other is not axis and axis.keys[: len(other.keys)] == other.keys
        ]
    if not axes and not mistakes and written.whole:
        mistakes.append("nothing is varied; say what, for example --over privacy.epsilon=1,2,4,8,inf --over seed=0,1,2")
    return Asked(written, tuple(axes.values()), name, (*written.mistakes, *mistakes), drawn)


def pieces(text: str) -> list[str]:
    """Return the parts of a list at its commas, but for those within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        else:
            depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def label(point: FrontierPoint) -> str:
    """Return a point for people: "privacy.epsilon=8 seed=0"."""
    return " ".join(f"{key}={value_text(value)}" for key, value in point.items())


def _axis(entry: str, option: str) -> tuple[Axis | None, list[str]]:
    key, equals, text = entry.partition("=")
    if not equals or not text.strip():
        return None, [f"{option} {entry}: write path=value,value, such as privacy.epsilon=1,8,inf"]
    keys = tuple(part.strip() for part in key.split("."))
    values: list[Any] = []
    mistakes: list[str] = []
    for piece in pieces(text):
        read = read_written(None, [f"{key}={piece}"], None)
        mistakes += [f"{option} {entry}: {wrong}" for wrong in read.mistakes]
        if not piece or read.values.keys() - {keys} or {} in read.values.values():
            mistakes.append(f"{option} {entry}: {piece or 'nothing'} is no single value; vary one key at a time")
        values += read.values.values()
    return (None if mistakes else Axis(".".join(keys), tuple(values), option, alone=option == "--alone")), mistakes


def _taken_(written: Written, name: str) -> tuple[str, dict[str, Axis], list[str]]:
    """Take the `[sweep]` table out of what was written; return the sweep's name, its axes and what is wrong."""
    axes: dict[str, Axis] = {}
    mistakes: list[str] = []
    for keys in [keys for keys in written.values if keys[0] == SWEEP]:
        value, place = written.values.pop(keys), written.places.pop(keys)
        within = ".".join(keys[2:])
        if keys[1:] == ("name",) and isinstance(value, str):
            name = value
        elif keys[1:2] in {("over",), ("alone",)} and within:
            given = tuple(value) if isinstance(value, list) else ()
            axis = Axis(within, given, place, alone=keys[1] == "alone")
            mistakes += (wrong := list(_wrong_values(axis)))
            axes |= {} if wrong else {within: axis}
        elif keys[1:2] != ("trials",) and value != {}:
            mistakes.append(f"{place}: {'.'.join(keys)} is nothing a sweep has; its keys are {', '.join(ENTRIES)}")
    return name, axes, mistakes


def _draw_taken_(written: Written) -> tuple[Draw | None, list[str]]:
    """Take `sweep.draw` out of what was written; return it, and what is wrong."""
    found = {keys: written.values[keys] for keys in written.values if keys[:2] == (SWEEP, "draw")}
    places = [written.places.pop(keys) for keys in found]
    for keys in found:
        del written.values[keys]
    if not found:
        return None, []
    values = {".".join(keys[2:]): value for keys, value in found.items()}
    mean, law = values.get("mean"), values.get("law", DEFAULT_LAW)
    if values.keys() - {"mean", "law"} or not isinstance(mean, int | float) or not isinstance(law, str):
        return None, [
            f'{places[0]}: sweep.draw: should be a mean and a law, such as {{mean = 20, law = "{DEFAULT_LAW}"}}'
        ]
    try:
        return Draw(float(mean), law), []
    except ConfigError as error:
        return None, [f"{places[0]}: {error}"]


def _wrong_values(axis: Axis) -> Iterator[str]:
    if not axis.values:
        yield f"{axis.place}: {_written(axis)}: should be a list of values, such as [0, 1, 2]"
    if any(isinstance(entry, dict) for entry in axis.values):
        yield f"{axis.place}: {_written(axis)}: a table is no single value; vary one key at a time"
    files = [Path(str(entry)) for entry in axis.values] if section_keys(axis.keys) in PATH_KEYS else []
    files += [file for entry in axis.values if axis.keys in CODE_KEYS and (file := file_in(str(entry)))]
    if not all(file.is_absolute() for file in files):
        yield f"{axis.place}: {_written(axis)}: write absolute paths here"


def _written(axis: Axis) -> str:
    return f"{SWEEP}.{'alone' if axis.alone else 'over'}.{axis.key}"


def laid_over(written: Written, point: FrontierPoint, places: Mapping[str, str]) -> Written:
    """Return what was written with a point over it."""
    layered = Written(dict(written.values), dict(written.places), [], whole=written.whole)
    for key, value in point.items():
        for below, entry in flatten(value):
            layered.put_((*key.split("."), *below), entry, places[key])
    return layered
