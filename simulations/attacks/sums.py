"""Direct looks at a server's sums: how far one client moves them, and the noise on all that it releases, apart.

A simulator may do what no adversary can: add a round up again without a client, or draw further noise with no clients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedrec.attacks.audit.noise import Draw
from fedrec.core.seeding import rng_for
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.secagg.agreement import Agreement
from fedrec.privacy.secagg.integers.coding import Code
from fedrec.run.job import Job
from fedrec.training.item_counts import Counts, item_counts, shortened
from fedrec.training.task import CohortUpdate
from server.aggregation.privacy import NoisyMean
from server.aggregation.update import Array
from server.aggregation.update_sum import SumAggregator, Sums, UpdateSum
from server.context import StrategyContext
from simulations.engine.work import Parameters

Vector = NDArray[np.float64]

CLIPPED_SHARE = "the share of clipped updates"
ITEM_COUNTS = "item counts"


def furthest(aggregator: SumAggregator, parameters: Parameters, update: CohortUpdate, row: int) -> tuple[float, float]:
    """Return by how much one client's change moves the sum of a chunk, in L2, and that of the bits.

    With it less with no change in its place, as if the client had no data.

    Args:
        aggregator: How changes are clipped and added.
        parameters: The adapter before the changes.
        update: The chunk's answers.
        row: Whose change, by place in the chunk.
    """
    still = {name: value.clone() for name, value in update.parameters.items()}
    for name, value in still.items():
        value[row] = torch.from_numpy(np.array(parameters[name]))
    whole, rest = (
        aggregator.add_cohort(parameters, answers) for answers in (update, replace(update, parameters=still))
    )
    apart = sum(float(np.sum((value - rest.sums[name]) ** 2)) for name, value in whole.sums.items())
    return math.sqrt(apart), abs(whole.bits - rest.bits)


def uncorrelated(plan: PrivacyPlan, values: Sequence[Vector]) -> list[Vector]:
    """Return `C` times the rounds' vectors: noise `C^-1 z` becomes `z`."""
    return [
        np.sum([weight * values[here - age] for age, weight in enumerate(plan.factor[: here + 1])], axis=0)
        for here in range(len(values))
    ]


def server_noise(setting: StrategyContext, shape: Mapping[str, Array], rounds: range) -> tuple[list[Draw], Draw]:
    """Return the noise that the server's own mechanism adds to the sum of nobody, in claimed deviations.

    Args:
        setting: Of a run under central trust.
        shape: The adapter.
        rounds: Consecutive rounds, later than the run's, so that the noise is new.

    Returns:
        A draw a round, and the noise on clipped shares if the clip norm adapts.
    """
    mechanism, plan, cohort = NoisyMean(setting), setting.plan, setting.expected_cohort
    nothing: Sums = {name: np.zeros(value.shape) for name, value in shape.items()}
    sums, clips, bits = [], [], []
    for number in rounds:
        clips.append(mechanism.clip_norm)
        change = mechanism.change(UpdateSum(nothing), shape, number)
        sums.append(flat(change) * cohort)
        if (clipping := plan.clipping) is not None:
            share = clipping.quantile - math.log(mechanism.clip_norm / clips[-1]) / clipping.lr
            bits.append((share - 0.5) * cohort / clipping.bit_deviation)
    noise = [value / (clip * claimed(plan)) for value, clip in zip(uncorrelated(plan, sums), clips, strict=True)]
    return [parts(value, shape) for value in noise], {CLIPPED_SHARE: np.array(bits)} if bits else {}


def claimed(plan: PrivacyPlan) -> float:
    """Return the claimed deviation of the noise on a sum of updates, over the clip norm."""
    return plan.noise_multiplier if plan.clipping is None else plan.clipping.noise_multiplier


class Mute(np.random.Generator):
    """Draws rounding as ever, and noise of no size."""

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Return zeros."""
        del loc, scale
        return np.zeros(size)

    def poisson(self, lam: Any = 1.0, size: Any = None) -> Any:
        """Return zeros."""
        del lam
        return np.zeros(size, dtype=np.int64)


def noiseless(code: Code, change: Vector) -> Vector:
    """Return what a client gives to a secret sum, without its share of the noise, `[width]`."""
    return code.integers(change, Mute(np.random.PCG64(0))).astype(np.float64) * code.step


def shares_of_noise(job: Job, agreement: Agreement, shape: Mapping[str, Array], count: int) -> list[Draw]:
    """Return clients' shares of the noise on a secret sum, in claimed deviations, a draw a share.

    Where the law of the noise rotates a change first, its numbers belong to no parameter.
    """
    numbers, draws = sum(value.size for value in shape.values()), list[Draw]()
    for number in range(1, count + 1):
        code = agreement.code(number, numbers)
        share = code.integers(np.zeros(numbers), rng_for(job.secret_seed, "audited share", number))
        noise = share.astype(np.float64) * (code.step / agreement.share)
        draws.append(parts(noise, shape) if code.width == numbers else {"rotated parameters": noise})
    return draws


def counts_noise(job: Job, released: Counts) -> Draw:
    """Return the noise on the item counts that were released, in claimed deviations; nothing where none are planned."""
    if (counts := job.plan.counts) is None:
        return {}
    clients = range(len(job.prepared.federation))
    exact = sum(shortened(item_counts(job.training_context, client), counts.clip_norm) for client in clients)
    return {ITEM_COUNTS: (released - exact) / counts.deviation}


def flat(arrays: Mapping[str, NDArray[np.floating]]) -> Vector:
    """Return all arrays end to end, in the order of their names."""
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)]).astype(np.float64)


def parts(values: Vector, shape: Mapping[str, Array]) -> dict[str, Vector]:
    """Return what `flat` put end to end by name, `[..., numbers]` of each name."""
    names = sorted(shape)
    ends = np.cumsum([shape[name].size for name in names])
    return dict(zip(names, np.split(values, ends[:-1], axis=-1), strict=True))
