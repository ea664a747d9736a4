"""What a process needs to do clients' work in a run: the bench of their training, and what they keep."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from clients.state import ClientStore
from fedrec.errors import FedrecError
from fedrec.job import Job
from fedrec.training.workbench import Workbench


@dataclass(frozen=True, eq=False)
class Desk:
    """The model, the training rows and the settings; and the clients' own columns."""

    bench: Workbench
    store: ClientStore


@lru_cache(maxsize=2)  # a server that asks for sizes sits at a desk on the CPU, its clients perhaps at one on a GPU
def desk_of(run: str, device: str) -> Desk:
    """Return what this process's clients share; one torch thread a worker, so that cores are not fought over.

    Raises:
        FedrecError: If this process cannot read the run's folder.
    """
    if not Path(run).is_dir():
        message = f"the run's folder {run} cannot be read by this client"
        raise FedrecError(message)
    torch.set_num_threads(1)
    job = Job(Path(run))
    return Desk(job.workbench.on(torch.device(device)), ClientStore.of(job))
