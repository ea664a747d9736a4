"""The rounds: one direction, one loop for every strategy and every grid.

configure -> charge the ledger -> send and receive -> aggregate -> evaluate -> line -> checkpoint -> observers.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from torch import Tensor

from fedrec.core.errors import FederationError, PrivacyError, RunError
from fedrec.core.progress import Progress
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.result.selection import summed_with
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.unpaid import unpaid
from fedrec.reporting.wording import metric_label
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.tasks.base import Headline
from server.aggregation.secret_sum import secret
from server.aggregation.update import Arrays
from server.asking import ask
from server.base import MeanStrategy, Strategy, to_record
from server.grids import SummingGrid
from server.message_size import asked_bytes
from server.polls.item_counts import item_counts
from server.polls.linear_branch import linear_weights
from server.polls.poll import Poll
from server.stop import StopRequest

Line = dict[str, Any]
"""What a round tells: a line of `metrics.jsonl`."""

Observer = Callable[[Line], None]


@dataclass(frozen=True, eq=False)
class RoundContext:
    """What all rounds of a run share: where they are written, who aggregates, who is asked, who judges."""

    run: RunDirectory
    strategy: Strategy
    grid: Grid
    evaluator: Evaluator


def run_rounds(
    course: RoundContext, progress: Progress, observers: Sequence[Observer], stop: StopRequest
) -> Checkpoint:
    """Run the rounds that the run still lacks and return its last checkpoint; a privacy budget may end them earlier.

    Raises:
        Interrupted: If a stop was requested; the round in hand is finished and saved first.
        FederationError: If a round has too few usable replies; the rounds before it are saved.
        RunError: If the ledger of a resumed run lacks a round.
    """
    run, total = course.run, course.run.experiment.rounds
    here = run.latest_checkpoint(progress)
    progress("rounds", here.round if here else 0, total)
    if here is None:
        here, line = _first(course)
        run.rewind(None)
        _save(run, here, line, observers)
    else:
        _require_paid(run, here)
        run.rewind(here)
        course.strategy.take_back({name: value.numpy() for name, value in here.strategy.items()})
    course.evaluator.learn_popularity(here.released)
    while here.round < total:
        stop.raise_if_set()
        stop.finishing = f"round {here.round + 1}"
        try:
            done = _round(course, here)
        except FederationError as error:
            message = f"{error}. Every finished round is saved; when that is mended: fedrec resume {run.path}"
            raise FederationError(message) from error
        if done is None:
            progress("rounds", here.round, total, f"privacy.budget={run.experiment.privacy.budget:g} is spent")
            break
        here, line = done
        _save(run, here, line, observers)
        progress("rounds", here.round, total, note_of(line, course.evaluator.task.headline))
    stop.finishing = ""
    return here


def _require_paid(run: RunDirectory, here: Checkpoint) -> None:
    """Refuse to go on with a ledger that forgot: an epsilon that counts from anew would be false."""
    validation = run.job.validation
    told = reduce(validation.charge, range(here.round + 1), here.validation_ledger)
    if told != here.validation_ledger:
        message = (
            f"the validation users' ledger of {run.path} lacks rounds; restore an earlier checkpoint, or start anew"
        )
        raise RunError(message)
    if ":" in run.experiment.strategy.name:  # it draws cohorts of its own, which nobody can draw again
        return
    if lost := unpaid(here.ledger, run.job.plan, run.job.cohort, here.round):
        message = f"the ledger of {run.path} lacks rounds {lost}; restore an earlier checkpoint, or start a new run"
        raise RunError(message)


def _save(run: RunDirectory, checkpoint: Checkpoint, line: Line, observers: Sequence[Observer]) -> None:
    run.append_round(line)
    run.save_checkpoint(checkpoint)
    for observe in observers:
        observe(line)


def _first(course: RoundContext) -> tuple[Checkpoint, Line]:
    """Evaluator the base and return the checkpoint before the first round, with what is released by then."""
    evaluator, plan = course.evaluator, course.run.job.plan
    start, released, ledger = evaluator.context.shared_start, dict[str, Tensor](), plan.charge(Ledger(), 0, ())
    said = evaluator.validation.after(0, start, ranked=True)
    line: Line = {"round": 0, **said.fields}
    spent, budget = _spent(plan, ledger), course.run.experiment.privacy.budget
    if spent is not None and spent > budget:
        message = (
            f"item counts cost epsilon {spent:.3g}, more than privacy.budget={budget:g}; raise it, or ask for none"
        )
        raise PrivacyError(message)
    if plan.counts is not None:
        poll = item_counts(course.run, course.grid, plan.counts)
        released["item_counts"] = torch.from_numpy(poll.total)
        _add_poll_(line, poll)
    if course.run.experiment.linear.on:
        weights, polls = linear_weights(course.run, course.grid)
        released |= weights
        for poll in polls:
            _add_poll_(line, poll)
    paid = course.run.job.validation.charge(Ledger(), 0)
    return Checkpoint(0, start, start, 0, said.score, {}, ledger, released, validation_ledger=paid), line


def _add_poll_(line: Line, poll: Poll) -> None:
    """Add what a poll cost, and who could not answer, to the line of round 0."""
    line["rejections"] = line.get("rejections", []) + [vars(rejection) for rejection in poll.rejections]
    line["upload_bytes"] = line.get("upload_bytes", 0) + poll.sent.bytes
    line["download_bytes"] = line.get("download_bytes", 0) + poll.download_bytes


def _round(course: RoundContext, here: Checkpoint) -> tuple[Checkpoint, Line] | None:
    """Return what a round leaves; None if the privacy budget has no room for it, in which case nobody is asked."""
    began = time.monotonic()
    run, strategy, evaluator = course.run, course.strategy, course.evaluator
    plan, number = run.job.plan, here.round + 1
    told = ConfigRecord({"run": str(run.path)})
    messages = ask(strategy, number, to_record(to_arrays(here.parameters)), told, course.grid)
    asked = strategy.asked
    # Charged when the work is sent: a reply that is lost after someone saw it is paid for.
    ledger = plan.charge(here.ledger, number, asked)
    spent = _spent(plan, ledger)
    if spent is not None and spent > run.experiment.privacy.budget:
        return None
    after = collect(strategy, course.grid, number, messages, run.experiment.federation.timeout)
    parameters = here.parameters if after is None else to_tensors(after)
    report = strategy.report
    said = evaluator.validation.after(number, parameters, ranked=run.experiment.ranks(number))
    # Without validation users every score is nan, and the last round is the best there is.
    better = math.isnan(here.best_score) or said.score < here.best_score
    line: Line = {
        "round": number,
        **said.fields,
        "epsilon": spent,
        "cohort": len(asked),
        "replies": report.accepted,
        "rejected": dict(Counter(rejection.reason for rejection in report.rejections)),
        "rejections": [vars(rejection) for rejection in report.rejections],
        "update_norm": report.update_norm,
        "answers": report.sent.answers,
        "upload_bytes": report.sent.bytes,
        "download_bytes": asked_bytes(messages),
    }
    if report.filter is not None:
        line["filter"] = report.filter.told()
    line["seconds"] = round(time.monotonic() - began, 3)
    return (
        Checkpoint(
            round=number,
            parameters=parameters,
            best=parameters if better else here.best,
            best_round=number if better else here.best_round,
            best_score=said.score if better else here.best_score,
            strategy={name: torch.from_numpy(np.array(value)) for name, value in strategy.kept().items()},
            ledger=ledger,
            released=here.released,
            summed=summed_with(here, parameters, run.experiment),
            validation_ledger=run.job.validation.charge(here.validation_ledger, number),
        ),
        line,
    )


def _spent(plan: PrivacyPlan, ledger: Ledger) -> float | None:
    """Return the most exposed client's epsilon; None without privacy."""
    return None if plan.trust == "none" else ledger.epsilon(plan.delta, plan.clients).worst.pld


def collect(
    strategy: Strategy, grid: Grid, number: int, messages: Sequence[Message], timeout: float
) -> ArrayRecord | None:
    """Send a round's messages and return the new adapter; None if nobody's answer weighs anything.

    From a sum made in secret where the plan says so, from one total where the grid can add, else from replies.

    Raises:
        FederationError: As the strategy's aggregation does.
    """
    if isinstance(strategy, MeanStrategy):
        if (agreement := strategy.context.plan.agreement) is not None:
            opened = secret(grid).send_and_open(messages, agreement, timeout=timeout)
            return strategy.aggregate_secret(number, opened, agreement)
        if isinstance(grid, SummingGrid):
            total = grid.send_and_sum(messages, strategy.aggregator, timeout=timeout)
            return strategy.aggregate_total(number, total)
    after, _ = strategy.aggregate_train(number, list(grid.send_and_receive(messages, timeout=timeout)))
    return after


def note_of(line: Line, headline: Headline) -> str:
    """Return what a progress bar says beside a round."""
    parts = [f"loss {line['loss']:.3f}"] if "loss" in line else []
    if headline.metric in (found := line.get("validation", {}).get(headline.target, {})):
        parts.append(f"{metric_label(headline.metric)} {found[headline.metric]:.3f}")
    if line.get("epsilon") is not None:
        parts.append(f"epsilon {line['epsilon']:.2f}")
    if line.get("rejected"):
        parts.append(f"rejected {sum(line['rejected'].values())}")
    return "  ".join(parts)


def to_arrays(parameters: dict[str, Tensor]) -> Arrays:
    """Return an adapter as strategies use it."""
    return {name: value.numpy() for name, value in parameters.items()}


def to_tensors(arrays: ArrayRecord) -> dict[str, Tensor]:
    """Return an adapter as the library uses it."""
    return {name: torch.from_numpy(array.numpy().copy()) for name, array in arrays.items()}
