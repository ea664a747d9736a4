"""Which adapter is a run's result: the best, the last, or the mean of the last half of the rounds' (Polyak-Ruppert).

Where item counts were released, popularity is added to it (see `fedrec.evaluation.result.popularity`); where pairs were
counted, a linear branch (see `fedrec.evaluation.result.linear_branch`).

Averaging of iterates (Polyak & Juditsky 1992, over a tail) takes out what noise and oscillation put into the last one.
It looks at adapters that were released already, so it costs no privacy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.result.linear_branch import Branch, with_best_branch
from fedrec.evaluation.result.popularity import popularity, with_popularity
from fedrec.experiment.config import Experiment
from fedrec.models.linear.sums import asked_sums
from fedrec.privacy.plan import PrivacyPlan
from fedrec.run.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Selection:
    """The finished adapter.

    Attributes:
        parameters: Its shared parameters.
        round: The round that it is of; of a mean the last one in it.
        popularity: Weight of popularity in it; None where no item counts were released.
        linear: Its linear branch, which stands beside its parameters; None without one.
    """

    parameters: dict[str, Tensor]
    round: int
    popularity: float | None = None
    linear: Branch | None = None


def finished(last: Checkpoint, experiment: Experiment, plan: PrivacyPlan, evaluator: Evaluator) -> Selection:
    """Return a run's result; the validation users are asked where something was counted before the first round.

    Args:
        last: The run's last checkpoint.
        experiment: What was computed.
        plan: Says how noisy item counts are.
        evaluator: Of the run.
    """
    parameters, number = result_of(last, experiment)
    best_of, weight, linear = evaluator.validation.best_of, None, None
    if plan.counts is not None:
        known = popularity(last.released["item_counts"].numpy(), plan.counts.deviation)
        parameters, weight = with_popularity(parameters, known, evaluator.context.model.bias_scale, best_of)
    if experiment.linear.on:
        weights = {name: last.released[name] for name in asked_sums(experiment.linear)}
        parameters, linear = with_best_branch(parameters, weights, best_of)
    return Selection(parameters, number, weight, linear)


def result_of(last: Checkpoint, experiment: Experiment) -> tuple[dict[str, Tensor], int]:
    """Return the resulting adapter as `evaluation.select` says, and its round: of a mean the last one in it.

    A run that ended before any round that would be averaged gives its last adapter.

    Args:
        last: The run's last checkpoint.
        experiment: What was computed.
    """
    if experiment.evaluation.select == "best":
        return last.best, last.best_round
    if experiment.evaluation.select == "average" and last.summed:
        count = last.round - before_average(experiment)
        mean = {name: (value / count).to(last.parameters[name].dtype) for name, value in last.summed.items()}
        return mean, last.round
    return last.parameters, last.round


def before_average(experiment: Experiment) -> int:
    """Return the last round that is left out of the mean: of 5 rounds 3, 4 and 5 are averaged, of 1 round that one."""
    return experiment.rounds // 2


def summed_with(before: Checkpoint, parameters: Mapping[str, Tensor], experiment: Experiment) -> dict[str, Tensor]:
    """Return the sum to keep after the round that follows `before` and led to `parameters`.

    In float64 and in the rounds' order, so that a run that was interrupted sums to the same bits. Empty where nothing
    will be averaged, or not yet.
    """
    if experiment.evaluation.select != "average" or before.round < before_average(experiment):
        return {}
    wide = {name: value.to(torch.float64) for name, value in parameters.items()}
    return {name: before.summed[name] + value for name, value in wide.items()} if before.summed else wide
