"""Trains a chunk, judges or trains centrally in a process of its own, and prints by how many bytes its memory grew.

Arguments: the phase, items, width, rank, clients, users a client.
"""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fedrec.data.columns import RaggedArray
from fedrec.data.federation import Federation
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import attach_, trained_parameters
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.text.whitening import DIMENSIONS
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.context import TrainingContext
from fedrec.training.held_out_loss import mean_loss
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import train_cohort
from tests import handmade

HISTORY = 60


def made(items: int, width: int, rank: int, clients: int, users: int) -> TrainingContext:
    draw, number = np.random.default_rng(0), clients * users
    experiment = Experiment.model_validate(
        {"model": {"width": width}, "adapter": {"rank": rank}, "training": {"steps": 2}}
    )
    model = build_model(experiment, ModelInputs(items, item_vectors=torch.randn(items, DIMENSIONS)))
    attach_(model, experiment.adapter, 0)
    start = {name: value.detach().clone() for name, value in trained_parameters(model).items()}
    context = handmade.context()
    train = handmade.interactions([draw.integers(0, items, HISTORY) for _ in range(number)], items)
    federation = Federation(RaggedArray(np.arange(number), np.arange(0, number + 1, users)), context.federation.names)
    plan = handmade.plan("local", noise=1.0)
    return replace(
        context,
        experiment=experiment,
        model=model,
        train=train,
        federation=federation,
        start=start,
        plan=plan,
        platforms=handmade.one_platform(train),
    )


def work(phase: str, context: TrainingContext, clients: int) -> None:
    task, everybody = context.task, np.arange(context.train.num_users)
    if phase == "training":
        train_cohort(context, CohortTask(range(clients), 1, dict(context.start)))
    elif phase == "central":
        examples = task.examples(context.train, everybody)
        train_centrally_(context.model, task, examples, CentralSettings(1, 1e-3, 1, "central"), 0, lambda: 1.0)
    else:
        mean_loss(context.model, task, task.judged(context.train, everybody))


def status(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    phase, *numbers = sys.argv[1:]
    context = made(*map(int, numbers))
    trained, clients = sum(value.numel() for value in context.start.values()), int(numbers[3])
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = status("VmRSS")
    work(phase, context, clients)
    print(trained, status("VmHWM") - before)
