"""What a run's summary says, as rows and in one paragraph: shared by the report and the terminal.

Pure functions of `summary.json`. Nothing is claimed that the summary does not hold.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedrec.evaluation.statistics.significance import FEW_USERS, SIGNIFICANT
from fedrec.reporting.reading import Reading, reading
from fedrec.reporting.wording import (
    SHOWN_DIFFERENCES,
    Summary,
    count_text,
    epsilon_text,
    get_path,
    least_text,
    listed,
    metric_label,
    number,
    p_text,
    score_text,
)

LABELS = {
    "base": "Base before federation",
    "base_popularity": "Base with its public users' popularity",
    "central": "Central training, no privacy",
    "local_only": "Local only, federation off",
    "linear_sum": "EASE + next item",
    "ease_recency": "EASE, fading history",
    "linear_next_item": "Linear next item",
    "text_nearest": "Nearest item text, untrained",
    "ease": "EASE",
    "sasrec": "SASRec",
    "bert4rec": "BERT4Rec",
    "mult_vae": "Mult-VAE",
    "lightgcn": "LightGCN",
    "ials": "Implicit ALS",
    "item_knn": "Item neighbours",
    "popularity": "Popularity",
    "popularity_odds": "Odds by popularity",
    "random": "Random",
}
OTHER_REFERENCES = (
    "linear_sum",
    "ease_recency",
    "linear_next_item",
    "sasrec",
    "bert4rec",
    "mult_vae",
    "lightgcn",
    "ials",
    "item_knn",
)
"""Recommenders fitted on all data, of which the answer in words names the best alone."""

BASES = {"random": "random weights", "public_users": "pretrained on consenting public users"}
SEEN = {"private": "seen only because this is a simulation"}
"""By the class of a control (see `fedrec.privacy.disclosure`)."""

Verdict = Literal["better", "worse", "level", "unknown"]


@dataclass(frozen=True)
class Cell:
    """One recommender's score on one target; nan where unknown.

    Attributes:
        value: Mean over the test users.
        low: Lower end of its 95 % interval over users.
        high: Upper end.
        p_value: Of the Holm-corrected paired test against the federated model; nan for that model itself.
        minimal_difference: The least true difference to it that the users would show; nan for that model itself.
        best: Whether no recommender scores better.
        higher_is_better: Whether a higher score is a better one.
    """

    value: float
    low: float
    high: float
    p_value: float
    best: bool
    higher_is_better: bool = True
    minimal_difference: float = math.nan

    @property
    def interval(self) -> str:
        """The interval as "[0.131, 0.176]"; nothing without both ends."""
        return "" if math.isnan(self.low + self.high) else f"[{self.low:.3f}, {self.high:.3f}]"

    def against(self, base: float) -> Verdict:
        """Return how this score stands to the base's: beyond the interval, level with it, or unknown without one."""
        if math.isnan(self.low + self.high + base):
            return "unknown"
        if self.low <= base <= self.high:
            return "level"
        return "better" if (self.low > base) is self.higher_is_better else "worse"

    def ahead(self, other: "Cell") -> bool:
        """Return whether this score is better than another; no where one is unknown."""
        return self.value > other.value if self.higher_is_better else self.value < other.value


@dataclass(frozen=True)
class Row:
    """One recommender: its name in the summary ("federated" for the run's own), its label and its cells by target."""

    name: str
    label: str
    cells: dict[str, Cell]
    note: str

    @property
    def federated(self) -> bool:
        """Whether this is the run's own recommender."""
        return self.name == "federated"


def control_rows(summary: Summary) -> list[Row]:
    """Return the federated model, always first, and every control beside it, on the headline metric, target by target.

    Known controls come in the order of `LABELS`, others after them by name.
    """
    read, entries = reading(summary), _entries(summary)
    best = {
        target: max(_gain(read, number(get_path(entry, "test", target, read.metric))) for entry in entries.values())
        for target in read.targets
    }
    return [
        Row(
            name=name,
            label="Federated, this run" if name == "federated" else LABELS.get(name, name),
            cells={target: _cell(entry, target, read, best[target]) for target in read.targets},
            note="; ".join(filter(None, (str(entry.get("note") or ""), SEEN.get(str(entry.get("disclosure")), "")))),
        )
        for name, entry in entries.items()
    ]


LATER_LABELS = {
    "personal": "With what each client keeps",
    "shared": "With the shared part alone",
    **{name: LABELS[name] for name in ("ease", "popularity")},
}


def later_rows(summary: Summary) -> list[Row]:
    """Return how clients serve their own users on their later items, a row a recommender; none where it is not told."""
    read, found = reading(summary), get_path(summary, "later_items", "recommenders")
    values = {name: number(get_path(entry, "metrics", read.metric)) for name, entry in found.items()}
    best = max((_gain(read, value) for value in values.values()), default=math.nan)
    rows = []
    for name in sorted(found, key=list(LATER_LABELS).index):
        low, high = get_path(found[name], "intervals", read.metric) or (None, None)
        ends, p_value = (number(low), number(high)), number(found[name]["p_value"])
        cell = Cell(values[name], *ends, p_value, _gain(read, values[name]) == best, read.higher_is_better)
        rows.append(Row(name, LATER_LABELS[name], {"later": cell}, ""))
    return rows


def metric_rows(summary: Summary, target: str) -> list[tuple[str, list[float]]]:
    """Return every metric of a target by label, with one value for each of the `control_rows`."""
    tables = [get_path(entry, "test", target) for entry in _entries(summary).values()]
    metrics = dict.fromkeys(metric for table in tables for metric in table if metric != "users")
    return [(metric_label(metric), [number(table.get(metric)) for table in tables]) for metric in metrics]


def shown_differences(summary: Summary) -> str:
    """Return what differences the table of controls can show, in a sentence; "" without a control to compare with."""
    rows, targets = control_rows(summary), reading(summary).targets
    found = {
        words: least_text([row.cells[target].minimal_difference for row in rows]) for target, words in targets.items()
    }
    told = listed([f"{text} on {words}" for words, text in found.items() if text])
    return f"{SHOWN_DIFFERENCES}: {told}." if told else ""


def headline(summary: Summary) -> str:
    """Return the run's answer in one paragraph of plain words.

    What was asked, how well the federated model does, what training added to its base, what is better still, and
    what is promised.
    """
    rows = {row.name: row for row in control_rows(summary)}
    read = reading(summary)
    measured = {
        target: read.targets[target] for target, cell in rows["federated"].cells.items() if not math.isnan(cell.value)
    }
    scores = (
        [
            f"Its {metric_label(read.metric)} is {_scores(rows['federated'], measured)} of each of them "
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
    validation = get_path(summary, "privacy", "validation")
    if not validation:
        return []
    read = reading(summary)
    metric = read.metric
    found = {
        words: number(get_path(summary, "metrics", "validation", target, metric))
        for target, words in read.targets.items()
    }
    deviation = score_text(number(get_path(validation, "deviation", metric)))
    told = listed([f"{score_text(value)} on {words}" for words, value in found.items() if not math.isnan(value)])
    return [
        "How well it ranks for them is not published, because they are no volunteers.",
        f"For {count_text(validation.get('users'), 'private validation user')} {metric_label(metric)} is {told}, with "
        f"noise of standard deviation {deviation}.",
    ]


def _entries(summary: Summary) -> dict[str, Mapping[str, Any]]:
    controls = get_path(summary, "controls")
    known = [name for name in LABELS if name in controls]
    own = {"test": get_path(summary, "metrics", "test"), "intervals": get_path(summary, "intervals")}
    return {"federated": own} | {name: controls[name] for name in [*known, *sorted(set(controls) - set(known))]}


def _cell(entry: Mapping[str, Any], target: str, read: Reading, best: float) -> Cell:
    value = number(get_path(entry, "test", target, read.metric))
    low, high = get_path(entry, "intervals", target, read.metric) or (None, None)
    p_value, is_best = number(get_path(entry, "p_value", target)), _gain(read, value) == best
    least = number(get_path(entry, "minimal_difference", target))
    return Cell(value, number(low), number(high), p_value, is_best, read.higher_is_better, least)


def _gain(read: Reading, value: float) -> float:
    return -math.inf if math.isnan(value) else read.gain(value)


def _scores(row: Row, targets: Mapping[str, str]) -> str:
    """Return a recommender's score on each of the targets, which come with their words."""
    cells = {words: row.cells[target] for target, words in targets.items()}
    return listed(
        [f"{score_text(cell.value)} {cell.interval}".strip() + f" on {words}" for words, cell in cells.items()]
    )


def _ended_early(summary: Summary) -> list[str]:
    done, asked = number(summary.get("rounds_run")), number(summary.get("rounds"))
    if not done < asked:
        return []
    return [f"It ended after {count_text(done, 'round')}: one more would have exceeded privacy.budget."]


def _asked(summary: Summary) -> str:
    adapter, split = get_path(summary, "adapter"), get_path(summary, "split")
    work = "ranked the whole catalogue for" if reading(summary).ranks else "was judged on"
    return (
        f"{count_text(get_path(summary, 'federation', 'clients'), 'client')}, with "
        f"{count_text(split.get('private'), 'user')} between them, trained the adapter {adapter.get('name', '?')} "
        f"({count_text(adapter.get('parameters'), 'parameter')}) of {get_path(summary, 'model').get('name', '?')} for "
        f"{count_text(summary.get('rounds'), 'round')} on {get_path(summary, 'dataset').get('name', '?')}; the "
        f"resulting recommender {work} {count_text(split.get('test'), 'test user')} it had never seen."
    )


def _against_base(summary: Summary, rows: Mapping[str, Row], measured: Mapping[str, str]) -> list[str]:
    if "base" not in rows:
        return ["The base before federation was not among the controls, so what training added is not known."]
    start = get_path(summary, "model").get("base", "")
    origin = f" ({BASES.get(start, start)})" if start else ""
    scored = f"The base before federation{origin} scores {_scores(rows['base'], measured)}"
    users = _test_users(summary)
    if users < FEW_USERS:
        return [f"{scored}; {count_text(users, 'test user')} cannot tell whether training gained or lost anything."]
    base = {target: rows["base"].cells[target].value for target in measured}
    found = {target: rows["federated"].cells[target].against(base[target]) for target in measured}
    told = {
        "better": "better beyond its interval on",
        "level": "no different within its interval on",
        "worse": "worse beyond its interval on",
        "unknown": "without an interval, so without a verdict, on",
    }
    parts = [
        f"{text} {listed([words for target, words in measured.items() if found[target] == kind])}"
        for kind, text in told.items()
        if kind in found.values()
    ]
    sentence = f"{scored}; the federated model is {listed(parts)}."
    useless = "better" not in found.values() and set(found.values()) != {"unknown"}
    return [sentence, *(_cost(summary, rows, base) if useless else [])]


def _test_users(summary: Summary) -> float:
    """Return how many test users were ranked; those of the split where that is not recorded, nan without either."""
    ranked = [number(get_path(summary, "metrics", "test", target, "users")) for target in reading(summary).targets]
    return next((users for users in ranked if not math.isnan(users)), number(get_path(summary, "split", "test")))


def _cost(summary: Summary, rows: Mapping[str, Row], base: Mapping[str, float]) -> list[str]:
    if not _private(summary):
        return ["Training gained nothing over its base."]
    plain = "Privacy at this population cost everything: the private model is not better than its base."
    central = rows.get("central")
    found = {central.cells[target].against(value) for target, value in base.items()} if central else {"unknown"}
    if found & {"better", "unknown"}:
        return [plain]
    return [plain, "Central training without privacy is not better either, so privacy may not be the only cause."]


def _against_others(rows: Mapping[str, Row], measured: Mapping[str, str]) -> list[str]:
    competitors = _competitors(rows, measured)
    central = rows.get("central")
    beside = [f"{row.label} {_values(row, measured)}" for row in competitors]
    beside += [f"the same model trained centrally without privacy {_values(central, measured)}"] if central else []
    sentences = [f"On the same users: {'; '.join(beside)}."] if beside else []
    own = rows["federated"]
    ahead = [text for row in competitors for at, words in measured.items() if (text := _ahead(row, own, at, words))]
    sentences += ahead or (
        [f"Nowhere ahead of it: {listed([row.label for row in competitors])}."] if competitors else []
    )
    return sentences


def _competitors(rows: Mapping[str, Row], measured: Mapping[str, str]) -> list[Row]:
    """Return popularity or its odds, EASE, and the best on each target of the other recommenders fitted on all data."""
    others = [row for name, row in rows.items() if name in OTHER_REFERENCES]
    best = [
        row.name
        for row in others
        if any(not any(other.cells[target].ahead(row.cells[target]) for other in others) for target in measured)
    ]
    return [rows[name] for name in ("popularity", "popularity_odds", "ease", *best) if name in rows]


def _values(row: Row, measured: Iterable[str]) -> str:
    return listed([score_text(row.cells[target].value) for target in measured])


def _ahead(competitor: Row, federated: Row, target: str, words: str) -> str:
    cell = competitor.cells[target]
    if not cell.ahead(federated.cells[target]):
        return ""
    if math.isnan(cell.p_value):
        return f"{competitor.label} is ahead on {words} (not tested)."
    p_value = p_text(cell.p_value)
    chance = f"Holm-corrected p {p_value if p_value.startswith('<') else f'= {p_value}'}"
    if cell.p_value < SIGNIFICANT:
        return f"{competitor.label} still wins on {words} ({chance})."
    return f"{competitor.label} is ahead on {words}, though not beyond chance ({chance})."


def _private(summary: Summary) -> bool:
    return math.isfinite(number(get_path(summary, "privacy", "epsilon")))


def _promise(summary: Summary) -> str:
    privacy = get_path(summary, "privacy")
    if not privacy:
        return "No privacy statement is recorded."
    if not _private(summary):
        return "Privacy is off: nothing is protected."
    there = get_path(privacy, "extrapolated")
    label = "REPRODUCIBLE, PROTECTS NOBODY: privacy.noise_key is fixed. " if privacy.get("noise_key") == "fixed" else ""
    label += (
        f"EXTRAPOLATED: the noise is that of a population of {number(get_path(there, 'population')):,.0f} units, which "
        f"would have epsilon {epsilon_text(get_path(there, 'epsilon'))}; what this run's own have comes next. "
        if there
        else ""
    )
    promise = (
        f"Promised is {privacy.get('unit', '?')}-level differential privacy with epsilon "
        f"{epsilon_text(privacy.get('epsilon'))} at delta {number(privacy.get('delta')):.2g} under "
        f"{privacy.get('trust', '?')} trust; the privacy statement says against whom."
    )
    if validation := get_path(privacy, "validation"):
        promise += (
            f" Validation users are promised epsilon {epsilon_text(validation.get('epsilon'))} at delta "
            f"{number(validation.get('delta')):.2g}."
        )
    return label + promise
