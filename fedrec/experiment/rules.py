"""Rules that need more than one key of an experiment, or better words than its sections have."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fedrec.experiment.config import Experiment
from fedrec.experiment.layers import Keys

PLATFORM_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Rule:
    """A condition on several keys; `broken` returns why it fails, or "" where it holds."""

    about: tuple[Keys, ...]
    broken: Callable[[Experiment], str]


def _heads(experiment: Experiment) -> str:
    width, heads = experiment.model.width, experiment.model.heads
    return f"model.width = {width}: should be a multiple of model.heads = {heads}" if width % heads else ""


def _training_users(experiment: Experiment) -> str:
    validation, test = experiment.split.validation, experiment.split.test
    if validation + test < 1:
        return ""
    return f"split.test = {test}: with split.validation = {validation} nobody is left to train on; sum to less than 1"


def _own_table(experiment: Experiment) -> str:
    return "; ".join(
        f"{section}.name = 'table': needs {section}.path, your file"
        for section, data in experiment.data_sections.items()
        if data.name == "table" and data.path is None
    )


def _table_companions(experiment: Experiment) -> str:
    """Return which key of a table says something about a column or file that is not named."""
    needs = {"time_format": "time", "items_key": "items_path", "users_key": "users_path"}
    return "; ".join(
        f"{section}.table.{key} = {getattr(data.table, key)!r}: needs {section}.table.{of}, too"
        for section, data in experiment.data_sections.items()
        for key, of in needs.items()
        if getattr(data.table, key) is not None and getattr(data.table, of) is None
    )


def _platform_names(experiment: Experiment) -> str:
    wrong = [name for name in experiment.platforms if not PLATFORM_NAME.fullmatch(name)]
    return (
        f"platforms.{wrong[0]}: a platform's name has a-z, 0-9 and - alone, such as [platforms.video]" if wrong else ""
    )


def _one_form_of_data(experiment: Experiment) -> str:
    if not experiment.platforms or not experiment.data.model_fields_set:
        return ""
    names = ", ".join(f"[platforms.{name}]" for name in sorted(experiment.platforms))
    return f"[data] is the short form for a single platform, and there is {names}, too; give each platform one of those"


def _epochs(experiment: Experiment) -> str:
    """Return why clients cannot be in exactly one round of an epoch, a percent of rounding allowed."""
    federation = experiment.federation
    if federation.sampling != "balls-in-bins" or abs(federation.participation * federation.epoch - 1) <= 0.01:
        return ""
    return (
        f"federation.participation = {federation.participation:g}: should be 1 over a whole number of rounds with "
        f"federation.sampling = 'balls-in-bins', such as {1 / federation.epoch:.3g}"
    )


def _cutoffs(experiment: Experiment) -> str:
    if experiment.evaluation.cutoffs:
        return ""
    return "evaluation.cutoffs = []: should name at least one cut-off, such as [5, 10, 20]"


def _windows(experiment: Experiment) -> str:
    if experiment.training.windows == "one" or experiment.training.example != "prefix":
        return ""
    return (
        f"training.windows = {experiment.training.windows!r}: cuts sequences into windows, and training.example = "
        "'prefix' learns from pairs, every one of them; leave it out"
    )


def _linear_branch(experiment: Experiment) -> str:
    if not experiment.linear.on:
        return ""
    if experiment.evaluation.private.on:
        return (
            "linear.on = true: validation users pick how much of the branch there is, a question that "
            "evaluation.private has no plan for; leave one of the two out"
        )
    if experiment.linear.users == "public":
        if experiment.split.public:
            return ""
        return "linear.users = 'public': there are none; set split.public, for example to 0.15"
    if not experiment.privacy.on:
        return ""
    return (
        "linear.on = true: adds up exact counts of pairs of items, whose release no privacy claim has a price for yet; "
        "set linear.users = 'public', leave it out, or train without privacy"
    )


RULES = (
    Rule((("model", "width"), ("model", "heads")), _heads),
    Rule((("split", "test"), ("split", "validation")), _training_users),
    Rule((("data", "name"), ("data", "path"), ("platforms",)), _own_table),
    Rule((("data", "table"), ("platforms",)), _table_companions),
    Rule((("platforms",),), _platform_names),
    Rule((("data",), ("platforms",)), _one_form_of_data),
    Rule((("federation", "participation"), ("federation", "sampling")), _epochs),
    Rule((("evaluation", "cutoffs"),), _cutoffs),
    Rule((("training", "windows"), ("training", "example")), _windows),
    Rule(
        (("linear", "on"), ("linear", "users"), ("privacy",), ("split", "public"), ("evaluation", "private")),
        _linear_branch,
    ),
)
