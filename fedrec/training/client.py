"""Client work, one client at a time: what a node of its own does, and the reference for `fedrec.training.vectorized`.

Each step draws a Poisson batch by name. Under client-side privacy Opacus clips every example's gradient and
adds noise to the sum (DP-SGD, Abadi et al. 2016); an empty batch still takes its noisy step, because skipping it
would tell that it was empty, and an example whose gradient is not finite adds nothing, because an error would tell of
it. The denominator is the expected batch size, fixed beforehand.
"""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
from torch import Tensor

from fedrec.core.errors import FedrecError
from fedrec.core.seeding import rng_for, torch_generator_for
from fedrec.models.adapters import load_parameters_
from fedrec.models.recommender import Recommender
from fedrec.training.context import TrainingContext
from fedrec.training.rules.round import RuleRound
from fedrec.training.steps import PlainStep, PrivateStep
from fedrec.training.task import CohortTask, CohortUpdate, only_row


def train_client(context: TrainingContext, task: CohortTask) -> CohortUpdate:
    """Return what the task's only client answers: a pure function of the task and the context's settings.

    A client without examples moves by what its rule adds alone, weight 0 without privacy; under client-side privacy
    it adds its noise like everybody else. Where sums are noised it answers with what it was sent, whatever its rule:
    one unit's data gone may move the sum by the clip norm at most. Under secure aggregation a client whose training
    ends in what is not finite also answers with what it was sent: that it did is nobody's to know.

    Raises:
        FedrecError: If the task carries other parameters than the adapter's, or such that are not finite; or if the
            loss is not, as with too high a learning rate. Where the server is not trusted, a loss is a secret and no
            error.
    """
    (client,) = task.clients
    require_adapter(context, client, task.parameters)
    noised = context.plan.trust != "none"
    model = context.per_example_model if context.plan.trust == "local" else context.model
    sent = {**context.start, **task.parameters, **only_row(task.private)}
    load_parameters_(model, sent)
    examples = context.examples(client)
    rule = RuleRound(context, task)
    step = _step(context, task, model, rule)
    platform, losses = context.platform(client), []
    items = context.platforms.items_of(platform)
    for index in range(context.experiment.training.steps):
        batch = draw_batch(context, task.round, client, examples, index)
        loss = step(batch, context.sample(task.round, index, platform), items)
        if loss is not None:
            if not context.discreet and not np.isfinite(loss):
                raise FedrecError(not_finite(loss, client, task.round, index))
            losses.append(loss)
    after = {name: parameter.detach().clone() for name, parameter in step.trained.items()}
    if context.plan.trust == "secure-aggregation" and not all(value.isfinite().all() for value in after.values()):
        after = sent
    if context.sums_are_noised and not len(examples):
        after = {**after, **task.parameters}
    stack = {name: value[None] for name, value in after.items()}
    (parameters, private), (extras, kept) = context.split(stack), rule.final(stack)
    return CohortUpdate(
        clients=[client],
        parameters=parameters,
        private=private,
        weights=[1.0 if noised else float(len(examples))],
        losses=[None if noised or not losses else sum(losses) / len(losses)],
        extras=extras,
        kept=kept,
    )


def draw_batch(context: TrainingContext, round: int, client: int, examples: Sized, index: int) -> list[Any]:
    """Return the Poisson batch of a client's local step `index`: the task's examples, of which there may be none."""
    seed, rate = context.secret_seed, context.experiment.training.sampling_rate
    coins = rng_for(seed, "batch", round, client, index).random(len(examples))
    chosen = (coins < rate).nonzero()[0]
    return context.task.draw(examples, chosen, rng_for(seed, "window", round, client, index))


def expected_batch(context: TrainingContext, client: int) -> float:
    """Return the denominator of a step's sum over a client's examples: no draw decides it.

    Nor do anybody's data, where a user is an example (any `training.example` but "prefix"): users without one count.
    The number of (prefix, next item) examples does come from the data, and is public where each of them is a unit. So
    does that of all windows, which is why they are refused where a step's sum is noised.
    """
    training, users = context.experiment.training, context.federation.users[client]
    single = training.example != "prefix" and training.windows == "one"
    held = len(users) if single else int(context.task.count(context.train.lengths_of(users)).sum())
    return max(1.0, training.sampling_rate * held)


def require_adapter(context: TrainingContext, client: int, parameters: Mapping[str, Tensor]) -> None:
    """Let a sender change the adapter, and nothing else of the model.

    Raises:
        FedrecError: If the parameters are others than the adapter's, or not finite; says which.
    """
    expected = {name: value.shape for name, value in context.shared_start.items()}
    found = {name: value.shape for name, value in parameters.items()}
    if found != expected:
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        message = f"client {client} was sent what is not its adapter: {', '.join(names)} missing, unknown or misshapen"
        raise FedrecError(message)
    if lost := sorted(name for name, value in parameters.items() if not value.isfinite().all()):
        message = f"client {client} was sent NaN or infinity in {', '.join(lost[:3])}"
        raise FedrecError(message)


def not_finite(loss: float, client: int, round: int, index: int) -> str:
    """Return what is said of a loss that is NaN or infinite; local steps are counted from 1."""
    return f"loss of client {client} is {loss} in round {round}, step {index + 1}; lower training.lr"


def _step(context: TrainingContext, task: CohortTask, model: Recommender, rule: RuleRound) -> PlainStep:
    training, client = context.experiment.training, task.clients[0]
    expected = expected_batch(context, client)
    if context.plan.trust != "local":
        return PlainStep(model, context.task, training, expected, rule)
    noise = torch_generator_for(context.secret_seed, "noise", task.round, client)
    return PrivateStep(model, context.task, training, expected, rule, context.plan, noise)
