"""Competitors without an engine: client after client through Opacus, central training, vectorised training alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedrec.core.errors import FederationError
from fedrec.core.seeding import rng_for
from fedrec.data.columns import RaggedArray
from fedrec.data.interactions import IntArray
from fedrec.models.adapters import load_parameters_, trained_parameters
from fedrec.run.job import Job
from fedrec.training.client import train_client
from fedrec.training.context import TrainingContext
from fedrec.training.steps import OPTIMIZERS
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import train_cohort
from server.aggregation.update import norm_of
from simulations.benchmarks.engines.federate import Serve
from simulations.engine.chunks import CHUNK_SIZES, chunks_of

USERS_TOGETHER = 32
"""Users of a client where each example is clipped inside of it."""


def one_at_a_time(serve: Serve, *, run: str) -> None:
    """Play one client after the other through Opacus, in this process, and average: the reference."""
    job = Job(Path(run))
    context = job.training_context

    def run_round(number: int) -> dict[str, Any]:
        began = time.perf_counter()
        cohort = job.cohort(number)
        totals = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in context.shared_start.items()}
        for client in cohort:
            after = train_client(context, CohortTask([client], number, context.shared_start)).parameters
            for name, value in totals.items():
                value.add_(after[name][0] - context.shared_start[name])
        mean = {name: (value / len(cohort)).numpy() for name, value in totals.items()}
        return {"seconds": time.perf_counter() - began, "update_norm": norm_of(mean)}

    serve(run_round)


def central(serve: Serve, *, run: str, batch: int, by_length: bool = False) -> None:
    """Play the same users' sequences centrally, without privacy, in batches; `by_length` saves most of the padding."""
    job = Job(Path(run))
    context, model = job.training_context, job.training_context.model
    trained, training = trained_parameters(model), job.experiment.training

    def run_round(number: int) -> dict[str, Any]:
        load_parameters_(model, context.start)
        optimizer = OPTIMIZERS[training.optimizer](trained.values(), lr=training.lr)
        task, users = context.task, users_of(job, number)
        examples, lengths = task.examples(context.train, users), context.train.lengths_of(users)
        began = time.perf_counter()
        windows = rng_for(job.experiment.seed, "window", number)
        order = rng_for(job.experiment.seed, "order", number).permutation(len(examples))
        order = order[np.argsort(-lengths[lengths >= 2][order], kind="stable")] if by_length else order
        for first in range(0, len(order), batch):
            drawn = task.collate(task.draw(examples, order[first : first + batch], windows))
            optimizer.zero_grad()
            losses = task.losses(model, drawn, context.sample(number, first))
            losses.mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return {"seconds": time.perf_counter() - began}

    serve(run_round)


def vectorised(serve: Serve, *, run: str, flavour: str) -> None:
    """Play chunks of clients in this process and one thread, without engine, server and files."""
    job = Job(Path(run))
    bench_of = FLAVOURS[flavour]

    def run_round(number: int) -> dict[str, Any]:
        context = bench_of(job.training_context, [np.array([user]) for user in users_of(job, number)])
        began = time.perf_counter()
        clients = range(len(context.federation))
        for chunk in chunks_of(clients, context.positions(clients), CHUNK_SIZES["cpu"]):
            update = train_cohort(context, CohortTask(chunk, number, context.shared_start))
            if update.failures:
                raise FederationError(str(update.failures))
        return {"seconds": time.perf_counter() - began}

    serve(run_round)


def users_of(job: Job, number: int) -> IntArray:
    """Return the users of a round's cohort."""
    return np.concatenate([job.prepared.federation.users[client] for client in job.cohort(number)])


def _each_alone(context: TrainingContext, users: Sequence[IntArray]) -> TrainingContext:
    return replace(context, federation=replace(context.federation, users=RaggedArray.of(users)))


def _open(context: TrainingContext, users: Sequence[IntArray]) -> TrainingContext:
    return replace(_each_alone(context, users), plan=replace(context.plan, trust="none", noise_multiplier=0.0))


def _together(context: TrainingContext, users: Sequence[IntArray]) -> TrainingContext:
    shards = [np.concatenate(users[first : first + USERS_TOGETHER]) for first in range(0, len(users), USERS_TOGETHER)]
    return _each_alone(context, shards)


FLAVOURS: Mapping[str, Callable[[TrainingContext, Sequence[IntArray]], TrainingContext]] = {
    "none": _open,
    "user": _each_alone,
    "example": _together,
}
"""Who clips what: nobody; each user, who is a client; each example, inside clients of many users."""
