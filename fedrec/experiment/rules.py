"""Rules that need more than one key of an experiment, or better words than its sections have."""

from collections.abc import Callable
from dataclasses import dataclass

from fedrec.experiment.config import Experiment
from fedrec.experiment.layers import Keys


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
    data = experiment.data
    return "data.name = 'table': needs data.path, your file" if data.name == "table" and data.path is None else ""


def _table_companions(experiment: Experiment) -> str:
    """Return which key of a table says something about a column or file that is not named."""
    table = experiment.data.table
    needs = {"time_format": "time", "items_key": "items_path", "users_key": "users_path"}
    alone = [(key, of) for key, of in needs.items() if getattr(table, key) is not None and getattr(table, of) is None]
    return "; ".join(f"data.table.{key} = {getattr(table, key)!r}: needs data.table.{of}, too" for key, of in alone)


def _targets(experiment: Experiment) -> str:
    targets = experiment.evaluation.targets
    if targets is None or "last20" in targets:
        return ""
    return (
        f"evaluation.targets = {list(targets)}: should have 'last20' among them; the canary, the groups of users and "
        "the answer in words read it"
    )


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


RULES = (
    Rule((("model", "width"), ("model", "heads")), _heads),
    Rule((("split", "test"), ("split", "validation")), _training_users),
    Rule((("data", "name"), ("data", "path")), _own_table),
    Rule((("data", "table"),), _table_companions),
    Rule((("evaluation", "targets"),), _targets),
    Rule((("federation", "participation"), ("federation", "sampling")), _epochs),
    Rule((("evaluation", "cutoffs"),), _cutoffs),
)
