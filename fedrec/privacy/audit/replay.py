"""The same again without what hides it: a client's own update, its noise alone, its users' shares, losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.config_section import Section
from fedrec.data.columns import Slices, Texts
from fedrec.data.examples import pad
from fedrec.data.federation import Federation
from fedrec.data.interactions import IntArray, Interactions
from fedrec.models.adapters import load_parameters_
from fedrec.privacy.audit.noise import Draw
from fedrec.training.client import expected_batch, train_client
from fedrec.training.objective import example_losses
from fedrec.training.task import ClientTask, CohortTask
from fedrec.training.vectorized import train_cohort
from fedrec.training.workbench import Workbench

S = TypeVar("S", bound=Section)

Vector = NDArray[np.float64]


def clear(bench: Workbench, train: Interactions, federation: Federation) -> Workbench:
    """Return a bench on which every example is in every batch and nobody adds noise; clipping stays.

    Args:
        bench: The bench of the run.
        train: Its rows with all canaries in.
        federation: Its clients without canaries, and each canary as a client of its own.
    """
    training = _changed(bench.experiment.training, sampling_rate=1.0)
    experiment, plan = _changed(bench.experiment, training=training), replace(bench.plan, noise_multiplier=0.0)
    return replace(bench, experiment=experiment, train=train, federation=federation, plan=plan)


def client_noise(bench: Workbench, clients: Sequence[int], rounds: int) -> list[Draw]:
    """Return the noise that clients add to a step's sum of clipped gradients, in claimed deviations, by parameter.

    One step of SGD with rate 1, from the adapter as it starts: what the vectorised form answers, less what the
    reference (Opacus) answers without noise, times the denominator. So a gradient that was not clipped shows, too.

    Args:
        bench: The bench of a run under client-side privacy.
        clients: Whose noise, each once; none gives none.
        rounds: Rounds 1 to this number.

    Returns:
        A draw a client and round.
    """
    deviation = bench.plan.noise_multiplier * bench.plan.clip_norm
    training = _changed(bench.experiment.training, optimizer="sgd", lr=1.0, steps=1)
    single = replace(bench, experiment=_changed(bench.experiment, training=training))
    silent = replace(single, plan=replace(bench.plan, noise_multiplier=0.0))
    found: list[Draw] = []
    for number in range(1, rounds + 1) if clients else ():
        for client, update in train_cohort(single, CohortTask(clients, number, bench.shared_start)).each():
            without = train_client(silent, ClientTask(client, number, bench.shared_start))
            pairs = ((update.parameters, without.parameters), (update.private, without.private))
            scale = expected_batch(single, client) / deviation
            found.append({n: _as_float64(ours[n] - theirs[n]) * scale for ours, theirs in pairs for n in ours})
    return found


def longest_share(bench: Workbench, clients: Sequence[int]) -> float:
    """Return the longest that a client of one example adds to a step's sum, over the clip norm: at most 1 if clipped.

    Args:
        bench: A bench without noise (see `clear`), under client-side privacy.
        clients: Who is looked at; 0 for none.
    """
    return max((float(np.linalg.norm(step)) for step in _short_steps(bench, clients)), default=0.0)


def shared_clip(bench: Workbench, clients: Sequence[int]) -> float:
    """Return how far the sum of one client of many users lies from that of their own shares, in clip norms.

    It is 0 if every user's gradient is clipped by itself.

    Args:
        bench: A bench without noise (see `clear`), under client-side privacy, whose examples are whole users.
        clients: Clients of one user each, whose histories fit into the window, so that no window is drawn; a client of
            all these users is made up. Fewer than two show nothing: 0.
    """
    users = np.concatenate([np.empty(0, dtype=np.int64), *(bench.federation.users[client] for client in clients)])
    if len(users) < 2:
        return 0.0
    alone = Federation(Slices.of([users, *users[:, None]]), Texts.of(["all", *map(str, users)]))
    together, *own = _short_steps(replace(bench, federation=alone), range(len(alone)))
    return float(np.linalg.norm(together * len(users) - np.sum(own, axis=0)))


def _short_steps(bench: Workbench, clients: Sequence[int]) -> list[Vector]:
    """Return each client's change after one step of SGD, in clip norms.

    The clip norm is made a thousandth of the plan's, so that every gradient is longer.
    """
    clip = bench.plan.clip_norm / 1000
    training = _changed(bench.experiment.training, optimizer="sgd", lr=1 / clip, steps=1)
    experiment = _changed(bench.experiment, training=training)
    single = replace(bench, experiment=experiment, plan=replace(bench.plan, clip_norm=clip))
    updates = train_cohort(single, CohortTask(clients, 1, bench.shared_start)).each() if clients else ()
    return [
        _as_float64(torch.cat([(v - bench.start[n]).flatten() for n, v in {**u.parameters, **u.private}.items()]))
        for _, u in updates
    ]


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
