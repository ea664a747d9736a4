"""The same again without what hides it: a client's own update, its noise alone, its users' shares, losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.attacks.audit.noise import Draw
from fedrec.data.columns import RaggedArray, StringColumn
from fedrec.data.federation import Federation
from fedrec.data.interactions import IntArray, Interactions
from fedrec.experiment.section import Section
from fedrec.models.adapters import load_parameters_
from fedrec.training.client import expected_batch, train_client
from fedrec.training.context import TrainingContext
from fedrec.training.held_out_loss import unknown
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import train_cohort

S = TypeVar("S", bound=Section)

Vector = NDArray[np.float64]


def clear(context: TrainingContext, train: Interactions, federation: Federation) -> TrainingContext:
    """Return a context on which every example is in every batch and nobody adds noise; clipping stays.

    Args:
        context: The context of the run.
        train: Its rows with all canaries in.
        federation: Its clients without canaries, and each canary as a client of its own.
    """
    training = _changed(context.experiment.training, sampling_rate=1.0)
    experiment, plan = _changed(context.experiment, training=training), replace(context.plan, noise_multiplier=0.0)
    return replace(context, experiment=experiment, train=train, federation=federation, plan=plan)


def client_noise(context: TrainingContext, clients: Sequence[int], rounds: int) -> list[Draw]:
    """Return the noise that clients add to a step's sum of clipped gradients, in claimed deviations, by parameter.

    One step of SGD with rate 1, from the adapter as it starts: what the vectorised form answers, less what the
    reference (Opacus) answers without noise, times the denominator. So a gradient that was not clipped shows, too.

    Args:
        context: The context of a run under client-side privacy.
        clients: Whose noise, each once; none gives none.
        rounds: Rounds 1 to this number.

    Returns:
        A draw a client and round.
    """
    deviation = context.plan.noise_multiplier * context.plan.clip_norm
    training = _changed(context.experiment.training, optimizer="sgd", lr=1.0, steps=1)
    single = replace(context, experiment=_changed(context.experiment, training=training))
    silent = replace(single, plan=replace(context.plan, noise_multiplier=0.0))
    found: list[Draw] = []
    for number in range(1, rounds + 1) if clients else ():
        for client, update in train_cohort(single, CohortTask(clients, number, context.shared_start)).each():
            without = train_client(silent, CohortTask([client], number, context.shared_start))
            pairs = ((update.parameters, without.parameters), (update.private, without.private))
            scale = expected_batch(single, client) / deviation
            found.append({n: _as_float64(ours[n][0] - theirs[n][0]) * scale for ours, theirs in pairs for n in ours})
    return found


def longest_share(context: TrainingContext, clients: Sequence[int]) -> float:
    """Return the longest that a client of one example adds to a step's sum, over the clip norm: at most 1 if clipped.

    Args:
        context: A context without noise (see `clear`), under client-side privacy.
        clients: Who is looked at; 0 for none.
    """
    return max((float(np.linalg.norm(step)) for step in _short_steps(context, clients)), default=0.0)


def shared_clip(context: TrainingContext, clients: Sequence[int]) -> float:
    """Return how far the sum of one client of many users lies from that of their own shares, in clip norms.

    It is 0 if every user's gradient is clipped by itself.

    Args:
        context: A context without noise (see `clear`), under client-side privacy, whose examples are whole users.
        clients: Clients of one user each, whose histories fit into the window, so that no window is drawn; a client of
            all these users is made up, of those of the first one's platform. Fewer than two show nothing: 0.
    """
    users = np.concatenate([np.empty(0, dtype=np.int64), *(context.federation.users[client] for client in clients)])
    platforms = np.array([context.platform_of_user(int(user)) for user in users], dtype=np.int64)
    users = users[platforms == platforms[:1]]
    if len(users) < 2:
        return 0.0
    alone = Federation(RaggedArray.of([users, *users[:, None]]), StringColumn.of(["all", *map(str, users)]))
    together, *own = _short_steps(replace(context, federation=alone), range(len(alone)))
    return float(np.linalg.norm(together * len(users) - np.sum(own, axis=0)))


def _short_steps(context: TrainingContext, clients: Sequence[int]) -> list[Vector]:
    """Return each client's change after one step of SGD, in clip norms.

    The clip norm is made a thousandth of the plan's, so that every gradient is longer.
    """
    clip = context.plan.clip_norm / 1000
    training = _changed(context.experiment.training, optimizer="sgd", lr=1 / clip, steps=1)
    experiment = _changed(context.experiment, training=training)
    single = replace(context, experiment=experiment, plan=replace(context.plan, clip_norm=clip))
    updates = train_cohort(single, CohortTask(clients, 1, context.shared_start)).each() if clients else ()
    return [
        _as_float64(torch.cat([(v[0] - context.start[n]).flatten() for n, v in {**u.parameters, **u.private}.items()]))
        for _, u in updates
    ]


def losses_of(context: TrainingContext, users: Sequence[int] | IntArray, parameters: Mapping[str, Tensor]) -> Vector:
    """Return each user's mean loss over all of its history, nothing sampled, `[users]`.

    Args:
        context: A context whose rows hold two interactions at least of each of the users (see `clear`).
        users: Whose loss.
        parameters: The global adapter; what never travels is as it starts.
    """
    load_parameters_(context.model, {**context.start, **parameters})
    task, losses = context.task, np.zeros(len(users))
    with torch.inference_mode():
        for row, user in enumerate(users):
            batch = unknown(task.collate(task.cover(context.train, int(user))))
            items = context.platforms.items_of(context.platform_of_user(int(user)))
            losses[row] = float(task.losses(context.model, batch, None, items).mean())
    return losses


def _as_float64(values: Tensor) -> Vector:
    array: Vector = values.double().numpy()
    return array


def _changed(section: S, **changes: object) -> S:
    return section.model_copy(update=changes)
