"""What a process needs to do clients' work in a run: the context of their training, and what they keep."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from fedrec.core.errors import FedrecError
from fedrec.core.own_code import search_also
from fedrec.run.client_store import ClientStore
from fedrec.run.job import Job
from fedrec.training.context import TrainingContext
from fedrec.transforms.pipeline import Transforms


@dataclass(frozen=True, eq=False)
class ClientContext:
    """The model, the training rows and the settings; the clients' own columns; and what their changes go through."""

    training: TrainingContext
    store: ClientStore
    transforms: Transforms


@lru_cache(maxsize=2)  # a server that asks for sizes has its context on the CPU, its clients perhaps on a GPU
def client_context(run: str, device: str) -> ClientContext:
    """Return what this process's clients share; one torch thread a worker, so that cores are not fought over.

    Raises:
        FedrecError: If this process cannot read the run's folder.
    """
    if not Path(run).is_dir():
        message = f"the run's folder {run} cannot be read by this client"
        raise FedrecError(message)
    torch.set_num_threads(1)
    job = Job(Path(run))
    for folder in job.code_folders:
        search_also(folder)
    transforms = Transforms.of(job.experiment, len(job.prepared.federation))
    return ClientContext(job.training_context.on(torch.device(device)), ClientStore.of(job), transforms)
