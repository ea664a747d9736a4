"""The rounds: one direction, one loop for every strategy and every grid.

configure -> charge the ledger -> send and receive -> aggregate -> judge -> write the line -> checkpoint -> observers.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord
from flwr.serverapp import Grid
from torch import Tensor

from fedrec.errors import Interrupted
from fedrec.evaluation.judge import RANKED, Judge
from fedrec.privacy.ledger import Ledger
from fedrec.progress import Progress
from fedrec.reporting.rundir import Checkpoint, RunDirectory
from server.base import Strategy

Observer = Callable[[dict[str, Any]], None]


class Stop:
    """A wish to stop after the round in hand."""

    def __init__(self) -> None:
        self.wanted = False

    def __call__(self, *_: object) -> None:
        """Wish it; usable as a signal handler."""
        self.wanted = True


def run_rounds(
    run: RunDirectory,
    strategy: Strategy,
    grid: Grid,
    judge: Judge,
    progress: Progress,
    observers: Sequence[Observer] = (),
    stop: Stop | None = None,
) -> Checkpoint:
    """Run the rounds that the run still lacks and return its last checkpoint.

    Raises:
        Interrupted: If a stop was wished; the round in hand is finished and saved first.
        FederationError: If a round has too few usable replies.
    """
    here = run.latest_checkpoint()
    if here is None:
        here = _first(run, judge, observers)
        run.save_checkpoint(here)
    else:
        run.rewind(here.round)
        strategy.restore({name: value.numpy() for name, value in here.strategy.items()})
    total = run.experiment.rounds
    while here.round < total:
        here, line = _round(run, strategy, grid, judge, here)
        run.append_round(line)
        run.save_checkpoint(here)
        for observe in observers:
            observe(line)
        progress("rounds", here.round, total, note_of(line))
        if stop is not None and stop.wanted and here.round < total:
            raise Interrupted(run.path)
    return here


def _first(run: RunDirectory, judge: Judge, observers: Sequence[Observer]) -> Checkpoint:
    """Judge the base and return the checkpoint before the first round."""
    start = judge.bench.shared_start
    line = {"round": 0, "loss": judge.loss(start), "validation": _validation(judge, start)}
    run.rewind(-1)
    run.append_round(line)
    for observe in observers:
        observe(line)
    return Checkpoint(0, start, start, 0, line["loss"], {}, Ledger())


def _round(
    run: RunDirectory, strategy: Strategy, grid: Grid, judge: Judge, here: Checkpoint
) -> tuple[Checkpoint, dict[str, Any]]:
    began = time.monotonic()
    plan, number = run.job.plan, here.round + 1
    arrays = to_record(here.parameters)
    messages = list(strategy.configure_train(number, arrays, ConfigRecord({"run": str(run.path)}), grid))
    asked = strategy.asked(number)
    # Charged when the work is sent: a reply that is lost after someone saw it is paid for.
    ledger = here.ledger if plan.placement == "none" else here.ledger.charge(number, plan.charged(asked), plan.release)
    replies = list(grid.send_and_receive(messages, timeout=run.experiment.federation.timeout))
    after, _ = strategy.aggregate_train(number, replies)
    parameters = here.parameters if after is None else to_tensors(after)
    report = strategy.report
    loss = judge.loss(parameters)
    better = not loss >= here.best_score
    line: dict[str, Any] = {
        "round": number,
        "loss": loss,
        "epsilon": ledger.epsilon(plan.delta, plan.clients).worst.pld if plan.placement != "none" else None,
        "cohort": len(asked),
        "replies": report.accepted,
        "rejected": dict(Counter(rejection.reason for rejection in report.rejections)),
        "rejections": [vars(rejection) for rejection in report.rejections],
        "update_norm": report.update_norm,
        "upload_bytes": report.accepted * sum(value.nbytes for value in parameters.values()),
    }
    if number % run.experiment.evaluation.every == 0 or number == run.experiment.rounds:
        line["validation"] = _validation(judge, parameters)
    line["seconds"] = round(time.monotonic() - began, 3)
    return (
        Checkpoint(
            round=number,
            parameters=parameters,
            best=parameters if better else here.best,
            best_round=number if better else here.best_round,
            best_score=loss if better else here.best_score,
            strategy={name: torch.from_numpy(np.array(value)) for name, value in strategy.state().items()},
            ledger=ledger,
        ),
        line,
    )


def note_of(line: dict[str, Any]) -> str:
    """Return what a progress bar says beside a round."""
    parts = [f"loss {line['loss']:.3f}"]
    if "validation" in line:
        parts.append(f"NDCG@{RANKED} {line['validation']['last20'][f'ndcg@{RANKED}']:.3f}")
    if line.get("epsilon") is not None:
        parts.append(f"epsilon {line['epsilon']:.2f}")
    if line.get("rejected"):
        parts.append(f"rejected {sum(line['rejected'].values())}")
    return "  ".join(parts)


def to_record(parameters: dict[str, Tensor]) -> ArrayRecord:
    """Return an adapter as Flower sends it."""
    return ArrayRecord({name: Array(value.numpy()) for name, value in parameters.items()})


def to_tensors(arrays: ArrayRecord) -> dict[str, Tensor]:
    """Return an adapter as the library uses it."""
    return {name: torch.from_numpy(array.numpy().copy()) for name, array in arrays.items()}


def _validation(judge: Judge, parameters: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    return {target: evaluation.to_json() for target, evaluation in judge.validate(parameters).items()}
