"""A sweep's trials as a table, a row each, for whoever computes on.

| columns | what |
|---|---|
| the varied keys | as the experiment has them; lists as JSON |
| `state`, `fingerprint` | "finished" or "missing"; which experiment |
| `parameters_sha256`, `chosen_round` | which adapter is the result |
| `claim.*` | what may be claimed: epsilon (inf without privacy), delta, unit, trust, noise, releases |
| `claim.extrapolated.*` | another population, if its noise was added, and what would be claimed there |
| `validation.*`, `test.*` | metrics, `<target>.<metric>`; with `.low` and `.high`, 95 % over users, if any |
| `group.*` | test metrics of user groups, `<target>.<attribute>.<group>.<metric>` |
| `control.*` | test metrics of the controls, `<control>.<target>.<metric>` |
| `point.*` | of all trials that differ from it in split_seed and seed alone: how many `splits` and `seeds`; \
`<target>.<metric>` with `.mean`, `.low`, `.high` (95 % over users, splits, seeds), `.users`, `.minimal_difference` |

Rows are sorted by the varied keys and columns by name within their kind, so every byte depends on the experiments and
on nothing else. What trials took is in a table of its own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fedrec.core.files import replacing
from fedrec.experiment.config import canonical_json
from fedrec.reporting.frontier.differences import differences, minimal_differences
from fedrec.reporting.frontier.points import FrontierPoint, Measure, TrialResult, frontier, in_order
from fedrec.reporting.reading import reading
from fedrec.reporting.wording import Summary, get_path, number

WHOLE, NUMBER = pl.Int64(), pl.Float64()

CLAIMS: Mapping[str, pl.DataType] = {
    "epsilon": pl.Float64(),
    "delta": pl.Float64(),
    "unit": pl.String(),
    "trust": pl.String(),
    "noise_multiplier": pl.Float64(),
    "releases_per_unit": pl.Int64(),
    "extrapolated.population": pl.Int64(),
    "extrapolated.epsilon": pl.Float64(),
}


def table_of(results: Sequence[TrialResult]) -> pl.DataFrame:
    """Return the table; a trial that is not finished has its point, its fingerprint and nothing else."""
    ordered = in_order(results)
    keys = sorted({key for result in ordered for key in result.point})
    columns = [_varied(key, [result.point.get(key) for result in ordered]) for key in keys]
    columns += [
        pl.Series("state", ["missing" if result.summary is None else "finished" for result in ordered], pl.String),
        pl.Series("fingerprint", [result.fingerprint for result in ordered], pl.String),
        pl.Series("parameters_sha256", [get_path(r.summary, "parameters_sha256") or None for r in ordered], pl.String),
        pl.Series("chosen_round", [_whole(get_path(r.summary, "chosen_round")) for r in ordered], pl.Int64),
    ]
    for name, kind in CLAIMS.items():
        values = [_claim(get_path(result.summary, "privacy", *name.split(".")), kind) for result in ordered]
        columns.append(pl.Series(f"claim.{name}", values, kind))
    measured = [dict(_measured(result.summary or {})) for result in ordered]
    for name in sorted({name for row in measured for name in row}, key=_kind_first):
        columns.append(pl.Series(name, [_finite(row.get(name, math.nan)) for row in measured], pl.Float64))
    return pl.DataFrame([*columns, *_of_points(ordered)])


def _of_points(ordered: Sequence[TrialResult]) -> Iterator[pl.Series]:
    """Yield what each trial's point says, beside every trial of it."""
    curves, read = frontier(ordered), reading(*(result.summary for result in ordered))
    points = [point for curve in curves for point in curve.points]
    owner = {result.fingerprint: point for point in points for result in point.results}
    of_trial = [owner.get(result.fingerprint) for result in ordered]
    least = minimal_differences(differences(curves, read))

    def column(name: str, values: Mapping[FrontierPoint, float], kind: pl.DataType) -> pl.Series:
        known = [math.nan if point is None else values.get(point, math.nan) for point in of_trial]
        return pl.Series(f"point.{name}", [_whole(v) if kind == WHOLE else _finite(v) for v in known], kind)

    yield column("splits", {point: point.splits for point in points}, WHOLE)
    yield column("seeds", {point: point.seeds for point in points}, WHOLE)
    for target in read.targets:
        name, found = f"{target}.{read.metric}", {p: p.estimate(Measure(target, read.metric)) for p in points}
        yield column(f"{name}.users", {point: of.users for point, of in found.items()}, WHOLE)
        for end in ("mean", "low", "high"):
            yield column(f"{name}.{end}", {point: getattr(of.interval, end) for point, of in found.items()}, NUMBER)
        yield column(f"{name}.minimal_difference", {p: least.get((p, target), math.nan) for p in points}, NUMBER)


def timings_of(results: Sequence[TrialResult]) -> pl.DataFrame:
    """Return the seconds that each finished trial took, by fingerprint; preparation is the shared one's."""
    rows = [(r.fingerprint, get_path(r.summary, "timing")) for r in in_order(results) if r.summary is not None]
    names = sorted({name for _, timing in rows for name in timing})
    columns = [pl.Series("fingerprint", [fingerprint for fingerprint, _ in rows], pl.String)]
    columns += [pl.Series(name, [_finite(number(t.get(name))) for _, t in rows], pl.Float64) for name in names]
    return pl.DataFrame(columns)


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet, wholly or not at all."""
    with replacing(path) as file:
        table.write_parquet(file)


def _varied(key: str, values: Sequence[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    for kind, column in ((bool, pl.Boolean), (int, pl.Int64), (str, pl.String)):
        if kinds <= {kind}:
            return pl.Series(key, values, column)
    if kinds <= {int, float}:
        return pl.Series(key, [None if value is None else float(value) for value in values], pl.Float64)
    return pl.Series(key, [None if value is None else canonical_json(value) for value in values], pl.String)


def _measured(summary: Summary) -> Iterator[tuple[str, float]]:
    """Yield column and value of every number that was measured."""
    for part in ("validation", "test"):
        yield from _numbers(part, get_path(summary, "metrics", part))
    for name, ends in _leaves(get_path(summary, "intervals")):
        for end, value in zip(("low", "high"), ends, strict=True):
            yield f"test.{name}.{end}", number(value)
    for target, fairness in get_path(summary, "groups").items():
        for attribute, of in get_path(fairness, "groups").items():
            means = get_path(of, "means")
            by_group = {name: {metric: means[metric][name] for metric in means} for name in get_path(of, "sizes")}
            yield from _numbers(f"group.{target}.{attribute}", by_group)
    for control, entry in get_path(summary, "controls").items():
        yield from _numbers(f"control.{control}", get_path(entry, "test"))


def _numbers(above: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in _leaves(tree):
        yield f"{above}.{name}", number(value)


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{below}", leaf) for below, leaf in _leaves(value))
        else:
            yield key, value


def _kind_first(name: str) -> tuple[int, str]:
    return (("validation", "test", "group", "control").index(name.partition(".")[0]), name)


def _claim(value: Any, kind: pl.DataType) -> Any:
    if kind == pl.String():
        return value if isinstance(value, str) else None
    return _whole(value) if kind == pl.Int64() else _number_or_none(value)


def _number_or_none(value: Any) -> float | None:
    known = number(value)
    return None if math.isnan(known) else known


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None
