"""The server's whole work on a run: rounds, then the conclusion. Any grid of clients will do."""

from contextlib import ExitStack
from typing import Any

from flwr.serverapp import Grid

from fedrec.conclusion import conclude
from fedrec.evaluation.judge import Judge
from fedrec.progress import Progress
from fedrec.reporting.rundir import RunDirectory
from fedrec.reporting.tensorboard import TensorBoardObserver
from fedrec.threads import one_thread
from server.adoption import build_strategy, check_grid
from server.rounds import Course, Observer, run_rounds
from server.stop import Stop


def conduct(
    run: RunDirectory, grid: Grid, progress: Progress, stop: Stop | None = None, *, tensorboard: bool = False
) -> dict[str, Any]:
    """Run the rounds that are missing, score, and return the summary.

    Raises:
        FedrecError: As the rounds and the conclusion do.
    """
    stop = stop or Stop(run.path)
    check_grid(run.experiment, grid)
    with one_thread(), ExitStack() as at_the_end:
        course = Course(run, build_strategy(run.job), grid, Judge(run.job))
        observers: list[Observer] = []
        if tensorboard:
            board = TensorBoardObserver(run.private / "tensorboard")
            at_the_end.callback(board.close)
            observers.append(board)
        last = run_rounds(course, progress, observers, stop)
        return conclude(run, course.judge, last, stop.heeding(progress))
