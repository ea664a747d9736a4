"""What a run's summary says, as rows and in one paragraph: shared by the report and the terminal.

Pure functions of `summary.json`. Nothing is claimed that the summary does not hold.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fedrec.evaluation.significance import FEW_USERS, SIGNIFICANT
from fedrec.reporting.wording import (
    Summary,
    count_text,
    epsilon_text,
    listed,
    look,
    metric_label,
    number,
    p_text,
    score_text,
)

CASES = {"last20": "the last 20 %", "last": "the last item"}
"""What is ranked of each held-out user, the more telling first."""
LABELS = {
    "base": "Base before federation",
    "base_popularity": "Base with its public users' popularity",
    "central": "Central training, no privacy",
    "local_only": "Local only, federation off",
    "ease": "EASE",
    "popularity": "Popularity",
    "random": "Random",
}
BASES = {"random": "random weights", "public_users": "pretrained on consenting public users"}
SEEN = {"private": "seen only because this is a simulation"}
"""By the class of a control (see `fedrec.privacy.disclosure`)."""

Verdict = Literal["better", "worse", "level", "unknown"]


@dataclass(frozen=True)
class Cell:
    """One recommender's score on one case; nan where unknown.

    Attributes:
        value: Mean over the test users.
        low: Lower end of its 95 % interval over users.
        high: Upper end.
        p_value: Of the Holm-corrected paired test against the federated model; nan for that model itself.
        best: Whether no recommender scores higher.
    """

    value: float
    low: float
    high: float
    p_value: float
    best: bool

    @property
    def interval(self) -> str:
        """The interval as "[0.131, 0.176]"; nothing without both ends."""
        return "" if math.isnan(self.low + self.high) else f"[{self.low:.3f}, {self.high:.3f}]"

    def against(self, base: float) -> Verdict:
        """Return how this score stands to the base's: beyond the interval, level with it, or unknown without one."""
        if math.isnan(self.low + self.high + base):
            return "unknown"
        if self.low > base:
            return "better"
        return "worse" if self.high < base else "level"


@dataclass(frozen=True)
class Row:
    """One recommender: its name in the summary ("federated" for the run's own), its label and its cells by case."""

    name: str
    label: str
    cells: dict[str, Cell]
    note: str

    @property
    def federated(self) -> bool:
        """Whether this is the run's own recommender."""
        return self.name == "federated"


def measured_cases(*summaries: Summary) -> dict[str, str]:
    """Return those of `CASES` that any of the summaries was scored on; all of them where none was."""
    found = [case for case in CASES if any(look(summary, "metrics", "test", case) for summary in summaries)]
    return {case: CASES[case] for case in found or CASES}


def main_metric(summary: Summary) -> str:
    """Return "ndcg@10", or the first NDCG of the summary if the experiment cuts elsewhere."""
    found = [name for case in CASES for name in look(summary, "metrics", "test", case) if name.startswith("ndcg@")]
    return "ndcg@10" if "ndcg@10" in found or not found else str(found[0])


def control_rows(summary: Summary) -> list[Row]:
    """Return the federated model, always first, and every control beside it, on the `main_metric`, case by case.

    Known controls come in the order of `LABELS`, others after them by name.
    """
    metric, entries, cases = main_metric(summary), _entries(summary), measured_cases(summary)
    best = {
        case: max(_nan_last(number(look(entry, "test", case, metric))) for entry in entries.values()) for case in cases
    }
    return [
        Row(
            name=name,
            label="Federated, this run" if name == "federated" else LABELS.get(name, name),
            cells={case: _cell(entry, case, metric, best[case]) for case in cases},
            note="; ".join(filter(None, (str(entry.get("note") or ""), SEEN.get(str(entry.get("disclosure")), "")))),
        )
        for name, entry in entries.items()
    ]


def metric_rows(summary: Summary, case: str) -> list[tuple[str, list[float]]]:
    """Return every metric of a case by label, with one value for each of the `control_rows`."""
    tables = [look(entry, "test", case) for entry in _entries(summary).values()]
    metrics = dict.fromkeys(metric for table in tables for metric in table if metric != "users")
    return [(metric_label(metric), [number(table.get(metric)) for table in tables]) for metric in metrics]


def headline(summary: Summary) -> str:
    """Return the run's answer in one paragraph of plain words.

    What was asked, how well the federated model ranks, what training added to its base, what is better still, and
    what is promised.
    """
    rows = {row.name: row for row in control_rows(summary)}
    measured = [case for case, cell in rows["federated"].cells.items() if not math.isnan(cell.value)]
    scores = (
        [
            f"Its {metric_label(main_metric(summary))} is {_scores(rows['federated'], measured)} of each of them "
            "(95 % intervals over users).",
            *_against_base(summary, rows, measured),
            *_against_others(rows, measured),
        ]
        if measured
        else through_noise(summary) or ["It was not scored on them, so nothing can be said of its quality."]
    )
    return " ".join([_asked(summary), *_ended_early(summary), *scores, _promise(summary)])


def through_noise(summary: Summary) -> list[str]:
    """Return what private validation users say of the result, a sentence an entry; nothing where they volunteered."""
    validation = look(summary, "privacy", "validation")
    if not validation:
        return []
    metric = main_metric(summary)
    found = {case: number(look(summary, "metrics", "validation", case, metric)) for case in CASES}
    deviation = score_text(number(look(validation, "deviation", metric)))
    told = listed([f"{score_text(value)} on {CASES[case]}" for case, value in found.items() if not math.isnan(value)])
    return [
        "How well it ranks for them is not published, because they are no volunteers.",
        f"For {count_text(validation.get('users'), 'private validation user')} {metric_label(metric)} is {told}, with "
        f"noise of standard deviation {deviation}.",
    ]


def _entries(summary: Summary) -> dict[str, Mapping[str, Any]]:
    controls = look(summary, "controls")
    known = [name for name in LABELS if name in controls]
    own = {"test": look(summary, "metrics", "test"), "intervals": look(summary, "intervals")}
    return {"federated": own} | {name: controls[name] for name in [*known, *sorted(set(controls) - set(known))]}


def _cell(entry: Mapping[str, Any], case: str, metric: str, best: float) -> Cell:
    value = number(look(entry, "test", case, metric))
    low, high = look(entry, "intervals", case, metric) or (None, None)
    return Cell(value, number(low), number(high), number(look(entry, "p_value", case)), best=value == best)


def _nan_last(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _scores(row: Row, cases: Sequence[str]) -> str:
    cells = {case: row.cells[case] for case in cases}
    return listed(
        [f"{score_text(cell.value)} {cell.interval}".strip() + f" on {CASES[c]}" for c, cell in cells.items()]
    )


def _ended_early(summary: Summary) -> list[str]:
    done, asked = number(summary.get("rounds_run")), number(summary.get("rounds"))
    if not done < asked:
        return []
    return [f"It ended after {count_text(done, 'round')}: one more would have exceeded privacy.budget."]


def _asked(summary: Summary) -> str:
    adapter, split = look(summary, "adapter"), look(summary, "split")
    return (
        f"{count_text(look(summary, 'federation', 'clients'), 'client')}, with "
        f"{count_text(split.get('private'), 'user')} between them, trained the adapter {adapter.get('name', '?')} "
        f"({count_text(adapter.get('parameters'), 'parameter')}) of {look(summary, 'model').get('name', '?')} for "
        f"{count_text(summary.get('rounds'), 'round')} on {look(summary, 'dataset').get('name', '?')}; the resulting "
        f"recommender ranked the whole catalogue for {count_text(split.get('test'), 'test user')} it had never seen."
    )


def _against_base(summary: Summary, rows: Mapping[str, Row], measured: Sequence[str]) -> list[str]:
    if "base" not in rows:
        return ["The base before federation was not among the controls, so what training added is not known."]
    start = look(summary, "model").get("base", "")
    origin = f" ({BASES.get(start, start)})" if start else ""
    scored = f"The base before federation{origin} scores {_scores(rows['base'], measured)}"
    users = _test_users(summary)
    if users < FEW_USERS:
        return [f"{scored}; {count_text(users, 'test user')} cannot tell whether training gained or lost anything."]
    base = {case: rows["base"].cells[case].value for case in measured}
    found = {case: rows["federated"].cells[case].against(base[case]) for case in measured}
    told = {
        "better": "better beyond its interval on",
        "level": "no different within its interval on",
        "worse": "worse beyond its interval on",
        "unknown": "without an interval, so without a verdict, on",
    }
    parts = [
        f"{text} {listed([CASES[case] for case in measured if found[case] == kind])}"
        for kind, text in told.items()
        if kind in found.values()
    ]
    sentence = f"{scored}; the federated model is {listed(parts)}."
    useless = "better" not in found.values() and set(found.values()) != {"unknown"}
    return [sentence, *(_cost(summary, rows, base) if useless else [])]


def _test_users(summary: Summary) -> float:
    """Return how many test users were ranked; those of the split where that is not recorded, nan without either."""
    ranked = [number(look(summary, "metrics", "test", case, "users")) for case in measured_cases(summary)]
    return next((users for users in ranked if not math.isnan(users)), number(look(summary, "split", "test")))


def _cost(summary: Summary, rows: Mapping[str, Row], base: Mapping[str, float]) -> list[str]:
    if not _private(summary):
        return ["Training gained nothing over its base."]
    plain = "Privacy at this population cost everything: the private model is not better than its base."
    central = rows.get("central")
    found = {central.cells[case].against(value) for case, value in base.items()} if central else {"unknown"}
    if found & {"better", "unknown"}:
        return [plain]
    return [plain, "Central training without privacy is not better either, so privacy may not be the only cause."]


def _against_others(rows: Mapping[str, Row], measured: Sequence[str]) -> list[str]:
    rivals = [rows[name] for name in ("popularity", "ease") if name in rows]
    central = rows.get("central")
    beside = [f"{row.label} {_values(row, measured)}" for row in rivals]
    beside += [f"the same model trained centrally without privacy {_values(central, measured)}"] if central else []
    sentences = [f"On the same lists: {'; '.join(beside)}."] if beside else []
    ahead = [text for row in rivals for case in measured if (text := _ahead(row, rows["federated"], case))]
    sentences += ahead or ([f"Nowhere ahead of it: {listed([row.label for row in rivals])}."] if rivals else [])
    return sentences


def _values(row: Row, measured: Sequence[str]) -> str:
    return listed([score_text(row.cells[case].value) for case in measured])


def _ahead(rival: Row, federated: Row, case: str) -> str:
    cell = rival.cells[case]
    if not cell.value > federated.cells[case].value:
        return ""
    if math.isnan(cell.p_value):
        return f"{rival.label} is ahead on {CASES[case]} (not tested)."
    p_value = p_text(cell.p_value)
    chance = f"Holm-corrected p {p_value if p_value.startswith('<') else f'= {p_value}'}"
    if cell.p_value < SIGNIFICANT:
        return f"{rival.label} still wins on {CASES[case]} ({chance})."
    return f"{rival.label} is ahead on {CASES[case]}, though not beyond chance ({chance})."


def _private(summary: Summary) -> bool:
    return math.isfinite(number(look(summary, "privacy", "epsilon")))


def _promise(summary: Summary) -> str:
    privacy = look(summary, "privacy")
    if not privacy:
        return "No privacy statement is recorded."
    if not _private(summary):
        return "Privacy is off: nothing is protected."
    there = look(privacy, "extrapolated")
    label = "REPRODUCIBLE, PROTECTS NOBODY: privacy.noise_key is fixed. " if privacy.get("noise_key") == "fixed" else ""
    label += (
        f"EXTRAPOLATED: the noise is that of a population of {number(look(there, 'population')):,.0f} units, which "
        f"would have epsilon {epsilon_text(look(there, 'epsilon'))}; what this run's own have comes next. "
        if there
        else ""
    )
    promise = (
        f"Promised is {privacy.get('unit', '?')}-level differential privacy with epsilon "
        f"{epsilon_text(privacy.get('epsilon'))} at delta {number(privacy.get('delta')):.2g} under "
        f"{privacy.get('trust', '?')} trust; the privacy statement says against whom."
    )
    if validation := look(privacy, "validation"):
        promise += (
            f" Validation users are promised epsilon {epsilon_text(validation.get('epsilon'))} at delta "
            f"{number(validation.get('delta')):.2g}."
        )
    return label + promise
