"""The competitor pfl-research, which keeps its own loop: a process of its own for each repetition, start-up not timed.

Each process trains two rounds, of which the first is its warm-up, on the very sequences of the cohort in hand.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import fedrec
from fedrec.core.app import app_root
from fedrec.core.errors import ConfigError, FedrecError
from fedrec.models.recommender import build_model
from fedrec.run.job import Job
from fedrec.training.client import draw_batch
from simulations.benchmarks.engines import pfl_side
from simulations.benchmarks.engines.competitors import THREADS, Competitor
from simulations.benchmarks.engines.kept import Measurement

Write = Callable[[Path, int], None]
"""Writes the work of a round into a folder."""

ROUNDS = 2


class Pfl(AbstractContextManager[Competitor]):
    """pfl in its own environment.

    Args:
        python: That environment's interpreter.
        write: Writes the work.
        processes: Among how many processes `torchrun` shares a cohort.
    """

    def __init__(self, python: Path, write: Write, processes: int = 1) -> None:
        self._write = write
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        self._command = [str(python), *(torchrun if processes > 1 else []), str(Path(pfl_side.__file__))]
        self.ready: Measurement = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def run_round(self, number: int) -> Measurement:
        """Run pfl once.

        Raises:
            FedrecError: If it fails.
        """
        library = str(Path(fedrec.__file__).parents[1])
        surroundings = {
            **os.environ,
            **THREADS,
            "PYTHONPATH": os.pathsep.join(dict.fromkeys((library, str(app_root())))),
        }
        with tempfile.TemporaryDirectory(prefix="fedrec-pfl-") as folder:
            self._write(Path(folder), number)
            done = subprocess.run(  # noqa: S603 - the user's interpreter
                [*self._command, folder], env=surroundings, capture_output=True, text=True, check=False
            )
        if done.returncode:
            message = f"pfl failed ({' '.join(self._command)}):\n{done.stderr[-2000:]}"
            raise FedrecError(message)
        told = json.loads(done.stdout.strip().splitlines()[-1])
        return {"seconds": told["rounds"][-1], "version": told["version"], "torch": told["torch"]}


def check_environment(python: Path) -> None:
    """Find out before anything is measured whether pfl's environment has what pfl's side imports.

    Raises:
        ConfigError: If it has not, naming all that is missing, or if the interpreter cannot be run or is too old.
    """
    told = json.dumps(list(pfl_side.NEEDS))
    try:
        done = subprocess.run([str(python), "-c", _LOOK, told], capture_output=True, text=True, check=True)  # noqa: S603
        recent, missing = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError) as error:
        why = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        message = f"--pfl {python} is no interpreter that runs ({why}); name the python of an environment that has pfl"
        raise ConfigError(message) from error
    if not recent:
        message = f"--pfl {python} is older than Python 3.11, which fedrec's model needs; make it with 3.11"
        raise ConfigError(message)
    if missing:
        packages = " ".join(f"'{pfl_side.NEEDS[name]}'" for name in missing)
        message = (
            f"the environment of --pfl {python} lacks {', '.join(missing)}; fedrec's model, which pfl trains there, "
            f"needs {'it' if len(missing) == 1 else 'them'}: {python} -m pip install {packages}"
        )
        raise ConfigError(message)


_LOOK = """
import importlib.util, json, sys
missing = [name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name) is None]
print(json.dumps([sys.version_info >= (3, 11), missing]))
"""
"""What pfl's interpreter is asked: whether it is recent, and which modules it does not find."""


def trivial(population: int, cohort: int, parameters: int) -> Write:
    """Return the writer of work that is nothing."""
    work = {"kind": "trivial", "clients": population, "cohort": cohort, "rounds": ROUNDS, "parameters": parameters}
    return lambda folder, number: pfl_side.write_work(folder, {**work, "seed": number})


def training(job: Job) -> Write:
    """Return the writer of a run's rounds: the cohort before, for the warm-up, and the cohort in hand."""
    experiment, context, plan = job.experiment, job.training_context, job.plan
    base = build_model(experiment, job.prepared.model_inputs)
    base.load_state_dict(job.prepared.base)

    def write(folder: Path, number: int) -> None:
        both = [(r, client) for r in (max(1, number - 1), number) for client in job.cohort(r)]
        drawn = [one for r, client in both for one in draw_batch(context, r, client, context.examples(client), 0)]
        work: dict[str, Any] = {
            "kind": "train",
            "clients": len(both),
            "cohort": len(both) // ROUNDS,
            "rounds": ROUNDS,
            "seed": experiment.seed,
            "steps": experiment.training.steps,
            "lr": experiment.training.lr,
            "optimizer": experiment.training.optimizer,
            "clip_norm": plan.clip_norm,
            "noise_multiplier": plan.noise_multiplier,
            "placement": "local",
            "model": experiment.model.model_dump(mode="json"),
            "adapter": experiment.adapter.model_dump(mode="json"),
        }
        pfl_side.write_work(folder, work, pfl_side.train_tensors(base, context.task.collate(drawn)))

    return write
