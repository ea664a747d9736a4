"""The same again without what hides it: the direction of a client's update, the noise alone, the loss of a sequence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.config import Section
from fedrec.data.examples import pad
from fedrec.data.interactions import IntArray, Interactions
from fedrec.models.adapters import load_parameters_
from fedrec.training.client import expected_batch, train_client
from fedrec.training.objective import example_losses
from fedrec.training.task import ClientTask, CohortTask
from fedrec.training.vectorized import train_cohort
from fedrec.training.workbench import Workbench

S = TypeVar("S", bound=Section)

Vector = NDArray[np.float64]

CHECKED_ROUNDS = 2


def clear(bench: Workbench, train: Interactions) -> Workbench:
    """Return a bench on which every example is in every batch and nobody adds noise; clipping stays.

    Args:
        bench: The bench of the run.
        train: Its rows with all canaries in.
    """
    training = _changed(bench.experiment.training, sampling_rate=1.0)
    experiment = _changed(bench.experiment, training=training)
    return replace(bench, experiment=experiment, train=train, plan=replace(bench.plan, noise_multiplier=0.0))


def client_noise(bench: Workbench, clients: Sequence[int], rounds: int = CHECKED_ROUNDS) -> list[Vector]:
    """Return the noise that clients add to a step's sum of clipped gradients, a vector a client and round.

    One step of SGD with rate 1, from the adapter as it starts: what the vectorised form answers, less what the
    reference (Opacus) answers without noise, times the denominator. So a gradient that was not clipped shows, too.

    Args:
        bench: The bench of a run under client-side privacy.
        clients: Whose noise, each once; none gives none.
        rounds: Rounds 1 to this number.
    """
    training = _changed(bench.experiment.training, optimizer="sgd", lr=1.0, steps=1)
    single = replace(bench, experiment=_changed(bench.experiment, training=training))
    silent = replace(single, plan=replace(bench.plan, noise_multiplier=0.0))
    found = []
    for number in range(1, rounds + 1) if clients else ():
        for client, update in train_cohort(single, CohortTask(clients, number, bench.shared_start)).each():
            without = train_client(silent, ClientTask(client, number, bench.shared_start))
            pairs = ((update.parameters, without.parameters), (update.private, without.private))
            change = torch.cat([(ours[name] - theirs[name]).flatten() for ours, theirs in pairs for name in ours])
            found.append(_as_float64(change) * expected_batch(single, client))
    return found


def longest_share(bench: Workbench, clients: Sequence[int]) -> float:
    """Return the longest that a client of one example adds to a step's sum, over the clip norm: at most 1 if clipped.

    The clip norm is made a thousandth of the plan's, so that every gradient is longer.

    Args:
        bench: A bench without noise (see `clear`), under client-side privacy.
        clients: Who is looked at; 0 for none.
    """
    clip = bench.plan.clip_norm / 1000
    training = _changed(bench.experiment.training, optimizer="sgd", lr=1 / clip, steps=1)
    experiment = _changed(bench.experiment, training=training)
    single = replace(bench, experiment=experiment, plan=replace(bench.plan, clip_norm=clip))
    longest = 0.0
    for _, update in train_cohort(single, CohortTask(clients, 1, bench.shared_start)).each() if clients else ():
        changes = [(v - bench.start[n]).flatten() for n, v in {**update.parameters, **update.private}.items()]
        longest = max(longest, float(torch.cat(changes).double().norm()))
    return longest


def losses_of(bench: Workbench, users: Sequence[int] | IntArray, parameters: Mapping[str, Tensor]) -> Vector:
    """Return each user's mean loss over its history in windows end to end, the whole catalogue, in nats, `[users]`.

    Args:
        bench: A bench whose rows hold two interactions at least of each of the users (see `clear`).
        users: Whose loss.
        parameters: The global adapter; what never travels is as it starts.
    """
    load_parameters_(bench.model, {**bench.start, **parameters})
    window = bench.experiment.model.window
    losses = np.zeros(len(users))
    with torch.inference_mode():
        for row, user in enumerate(users):
            items = bench.train.items_of(int(user))
            cuts = [items[max(0, end - window) : end + 1] for end in range(len(items) - 1, 0, -window)]
            history, target = pad(cuts, whole=True)
            losses[row] = float(example_losses(bench.model, history, target, None).mean())
    return losses


def _as_float64(values: Tensor) -> Vector:
    array: Vector = values.double().numpy()
    return array


def _changed(section: S, **changes: object) -> S:
    return section.model_copy(update=changes)
