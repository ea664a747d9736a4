"""The server's whole work on a run: rounds, then the conclusion. Any grid of clients will do."""

from contextlib import ExitStack
from typing import Any

from flwr.serverapp import Grid

from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.evaluation.evaluator import Evaluator
from fedrec.reporting.summary import conclude
from fedrec.reporting.tensorboard import TensorBoardObserver
from fedrec.run.directory import RunDirectory
from fedrec.training.rules.base import LocalWork
from fedrec.training.rules.round import build_rule
from server.rounds import Observer, RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy, check_grid


def run_server(
    run: RunDirectory, grid: Grid, progress: Progress, stop: StopRequest | None = None, *, tensorboard: bool = False
) -> dict[str, Any]:
    """Run the rounds that are missing, score, and return the summary.

    Raises:
        FedrecError: As the rounds and the conclusion do.
    """
    stop = stop or StopRequest(run.path)
    check_grid(run.experiment, grid)
    with one_thread(), ExitStack() as at_the_end:
        course = RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job))
        observers: list[Observer] = []
        if tensorboard:
            board = TensorBoardObserver(run.private / "tensorboard")
            at_the_end.callback(board.close)
            observers.append(board)
        last = run_rounds(course, progress, observers, stop)
        rule = build_rule(course.strategy.rule, course.strategy.client_config(), LocalWork.of(run.experiment))
        return conclude(run, course.evaluator, last, stop.wrap(progress), rule)
