"""Faults that would make a privacy claim false, each put into the real code by a patch."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import clients.cohort
import server.aggregation.privacy
import server.polls.item_counts
import server.rounds
from fedrec.core.seeding import Label
from fedrec.privacy.accounting.filters import Filter
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.secagg.integers.lattice import Lattice
from fedrec.privacy.secagg.integers.quantisation import Grid
from fedrec.run.job import Job
from fedrec.training import vectorized
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate
from server.aggregation.privacy import NoisyMean
from server.aggregation.update import norm_of
from server.aggregation.update_sum import SumAggregator, UpdateSum

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]

GROUP = "item_projection.bias"
"""One group of the tiny model's parameters."""


# faults of the clients


def no_noise_of_clients(patch: Patch) -> None:
    patch.setattr(vectorized._Sweep, "_add_noise_", lambda sweep, sums: None)


def half_the_noise_of_clients(patch: Patch) -> None:
    whole = vectorized._Sweep._add_noise_

    def half(sweep: Any, sums: vectorized.Stack) -> None:
        before = {name: value.clone() for name, value in sums.items()}
        whole(sweep, sums)
        for name, value in sums.items():
            value.add_(before[name]).div_(2)

    patch.setattr(vectorized._Sweep, "_add_noise_", half)


def one_seed_for_all_rounds_of_a_client(patch: Patch) -> None:
    _reseed(patch, lambda round_number, client: (1, client))


def one_seed_for_all_clients(patch: Patch) -> None:
    _reseed(patch, lambda round_number, client: (round_number, 0))


def _reseed(patch: Patch, name: Callable[[int, int], tuple[int, int]]) -> None:
    real = vectorized.torch_generator_for

    def generator(seed: int, what: Label, *labels: Any) -> torch.Generator:
        return real(seed, what, *(name(*labels) if what == "noise" else labels))

    patch.setattr(vectorized, "torch_generator_for", generator)


def no_clip_of_clients(patch: Patch) -> None:
    real = vectorized.clip_
    patch.setattr(vectorized, "clip_", lambda gradients, clip_norm: real(gradients, math.inf))


def clients_that_tell_their_examples(patch: Patch) -> None:
    real = clients.cohort.train_cohort

    def told(context: TrainingContext, task: CohortTask) -> CohortUpdate:
        return replace(real(context, task), weights=[float(len(context.examples(client))) for client in task.clients])

    patch.setattr(clients.cohort, "train_cohort", told)


# faults of the server


def no_noise_of_the_server(patch: Patch) -> None:
    _noise(patch, lambda plan_noise: 0.0)


def half_the_noise_of_the_server(patch: Patch) -> None:
    _noise(patch, lambda plan_noise: plan_noise / 2)


def _noise(patch: Patch, changed: Callable[[float], float]) -> None:
    real = NoisyMean.deviation
    patch.setattr(NoisyMean, "deviation", property(lambda mechanism: changed(real.fget(mechanism))))


def one_seed_for_all_rounds_of_the_server(patch: Patch) -> None:
    real = NoisyMean.change
    patch.setattr(NoisyMean, "change", lambda mechanism, total, shape, number: real(mechanism, total, shape, 1))


def bits_that_nobody_paid_for(patch: Patch) -> None:
    patch.setattr(
        NoisyMean, "deviation", property(lambda mechanism: mechanism.clip_norm * _plan(mechanism).noise_multiplier)
    )


def noise_that_takes_back_too_much(patch: Patch) -> None:
    patch.setattr(
        server.aggregation.privacy, "next_noise", lambda fresh, earlier, factor: fresh - (earlier[0] if earlier else 0)
    )


def _plan(mechanism: NoisyMean) -> PrivacyPlan:
    return mechanism._setting.plan


def no_clip_of_the_server(patch: Patch) -> None:
    patch.setattr(SumAggregator, "_factor", lambda aggregator, weight, norm: (1.0, 1.0))


def weights_by_examples(patch: Patch) -> None:
    real = SumAggregator._factor

    def factor(aggregator: SumAggregator, weight: float, norm: float) -> tuple[float, float]:
        return real(aggregator, weight, norm)[0] * weight, weight

    patch.setattr(SumAggregator, "_factor", factor)


# faults that are small, or of a part: all pass the bound at epsilon 8


def clip_of_clients_doubled(patch: Patch) -> None:
    real = vectorized.clip_
    patch.setattr(vectorized, "clip_", lambda gradients, clip_norm: real(gradients, 2 * clip_norm))


def clip_of_the_server_doubled(patch: Patch) -> None:
    real = SumAggregator._factor
    patch.setattr(
        SumAggregator,
        "_factor",
        lambda aggregator, weight, norm: real(replace(aggregator, clip_norm=2 * aggregator.clip_norm), weight, norm),
    )


def blocks_of_sixteen_users_of_a_client(patch: Patch) -> None:
    real = vectorized.groups_of
    patch.setattr(vectorized, "groups_of", lambda *args, **named: real(*args, **{**named, "most_rows": 16}))


def blocks_of_sixteen_users_of_the_server(patch: Patch) -> None:
    real = SumAggregator.add_cohort

    def add_cohort(aggregator: SumAggregator, before: dict[str, Any], update: CohortUpdate) -> UpdateSum:
        total = UpdateSum({})
        for first in range(0, len(update.clients), 16):
            clients = update.clients[first : first + 16]
            parameters = {name: value[first : first + 16] for name, value in update.parameters.items()}
            alone = CohortUpdate(clients, parameters, {}, [1.0] * len(clients), [None] * len(clients))
            block = real(SumAggregator(), before, alone)
            longest = aggregator.clip_norm * len(clients)
            factor = min(1.0, longest / max(norm_of(block.sums), 1e-12))
            total += replace(block, sums={name: value * factor for name, value in block.sums.items()})
        return total

    patch.setattr(SumAggregator, "add_cohort", add_cohort)


def noise_of_clients_at_97_in_100(patch: Patch) -> None:
    _scaled_noise_of_clients(patch, lambda name: 0.97)


def a_group_of_clients_parameters_without_noise(patch: Patch) -> None:
    _scaled_noise_of_clients(patch, lambda name: float(name != GROUP))


def _scaled_noise_of_clients(patch: Patch, scale: Callable[[str], float]) -> None:
    whole = vectorized._Sweep._add_noise_

    def scaled(sweep: Any, sums: vectorized.Stack) -> None:
        before = {name: value.clone() for name, value in sums.items()}
        whole(sweep, sums)
        for name, value in sums.items():
            value.sub_(before[name]).mul_(scale(name)).add_(before[name])

    patch.setattr(vectorized._Sweep, "_add_noise_", scaled)


def noise_of_the_server_at_97_in_100(patch: Patch) -> None:
    _noise(patch, lambda plan_noise: 0.97 * plan_noise)


def a_group_of_parameters_without_noise(patch: Patch) -> None:
    real = NoisyMean.change

    def change(mechanism: NoisyMean, total: UpdateSum, shape: dict[str, Any], number: int) -> dict[str, Any]:
        bare = total.sums.get(GROUP, 0.0 * shape[GROUP]) / mechanism._setting.expected_cohort
        return {**real(mechanism, total, shape, number), GROUP: bare.astype(np.float32)}

    patch.setattr(NoisyMean, "change", change)


def clip_bits_without_noise(patch: Patch) -> None:
    _silent(patch, server.aggregation.privacy, "clipped share")


def bits_of_clients_without_data(patch: Patch) -> None:
    patch.setattr(SumAggregator, "_bit", lambda aggregator, norm: 0.5 if aggregator._short(norm) else -0.5)


def filters_that_stop_nobody(patch: Patch) -> None:
    patch.setattr(Filter, "admit", lambda limits, client, length: (1.0, (length / limits.clip_norm) ** 2))


def filters_that_charge_the_mean_of_all(patch: Patch) -> None:
    real = Filter.after

    def after(limits: Filter, costs: dict[int, float]) -> Filter:
        mean = sum(costs.values()) / max(len(costs), 1)
        return real(limits, {client: min(mean, limits.left[client]) for client in costs})

    patch.setattr(Filter, "after", after)


def item_counts_without_noise(patch: Patch) -> None:
    _silent(patch, server.polls.item_counts, "item counts")


def _silent(patch: Patch, module: Any, draw: str) -> None:
    """Let the draw of this name be of no size."""
    real = module.rng_for

    class Silent:
        def normal(self, mean: float, deviation: float, shape: Any = ()) -> Any:
            return np.zeros(shape)

    patch.setattr(
        module, "rng_for", lambda seed, what, *labels: Silent() if what == draw else real(seed, what, *labels)
    )


# faults of clients that add up in secret


def no_share_of_the_noise(patch: Patch) -> None:
    patch.setattr(Grid, "noise", lambda grid, length, rng: np.zeros(length, dtype=np.int64))


def half_a_share_of_the_noise(patch: Patch) -> None:
    whole = Grid.noise
    patch.setattr(Grid, "noise", lambda grid, length, rng: whole(grid, length, rng) // 2)


def cohorts_of_everybody(patch: Patch) -> None:
    patch.setattr(Job, "cohort", lambda job, number: list(range(len(job.prepared.federation))))


def a_client_that_is_not_charged(patch: Patch) -> None:
    real = server.rounds.ask

    def ask(strategy: Any, *more: Any) -> Any:
        messages = real(strategy, *more)
        strategy.asked = strategy.asked[1:]
        return messages

    patch.setattr(server.rounds, "ask", ask)


# faults of Skellam noise


def half_a_share_of_the_skellam_noise(patch: Patch) -> None:
    whole = Lattice.noise
    patch.setattr(Lattice, "noise", lambda lattice, rng: whole(lattice, rng) // 2)


def skellam_noise_at_97_in_100(patch: Patch) -> None:
    def noise(lattice: Lattice, rng: np.random.Generator) -> Any:
        mean = (0.97 * lattice.deviation / lattice.step) ** 2 / 2
        return rng.poisson(mean, lattice.width) - rng.poisson(mean, lattice.width)

    patch.setattr(Lattice, "noise", noise)
