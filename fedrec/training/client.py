"""Client work, one client at a time: the reference that faster engines are tested against.

Each step draws a Poisson batch by name. Under client-side privacy Opacus clips every example's gradient and
adds noise to the sum (DP-SGD, Abadi et al. 2016); an empty batch still takes its noisy step, because skipping it
would tell that it was empty. The denominator is the expected batch size, fixed beforehand.
"""

import math

from torch import Tensor

from fedrec.data.examples import Examples
from fedrec.errors import FedrecError
from fedrec.models.adapters import is_private, load_parameters_, trained_parameters
from fedrec.seeding import rng_for, torch_generator_for
from fedrec.training.steps import PlainStep, PrivateStep, Pull
from fedrec.training.task import ClientTask, ClientUpdate
from fedrec.training.workbench import Workbench


def train_client(bench: Workbench, task: ClientTask) -> ClientUpdate:
    """Return what the client answers: a pure function of the task and the bench's settings.

    A client without examples answers with what it was sent, weight 0 without privacy; under client-side privacy
    it adds its noise like everybody else.

    Raises:
        FedrecError: If the task carries other parameters than the adapter's, or the loss is not finite: the learning
            rate is too high, or the parameters were poisoned.
    """
    _require_adapter(bench, task)
    load_parameters_(bench.model, {**bench.start, **task.parameters, **task.private})
    examples = bench.examples(task.client)
    step = _step(bench, task, len(examples))
    losses = []
    for index in range(bench.experiment.training.steps):
        history, target = draw_batch(bench, task, examples, index)
        loss = step(history, target, bench.draw_negatives(task.round, task.client, index))
        if loss is not None:
            _require_finite(loss, task)
            losses.append(loss)
    after = {name: parameter.detach().clone() for name, parameter in trained_parameters(bench.model).items()}
    noised = bench.plan.placement != "none"
    adapter = bench.experiment.adapter
    return ClientUpdate(
        parameters={name: value for name, value in after.items() if not is_private(name, adapter)},
        private={name: value for name, value in after.items() if is_private(name, adapter)},
        weight=1.0 if noised else float(len(examples)),
        loss=None if noised or not losses else sum(losses) / len(losses),
    )


def draw_batch(bench: Workbench, task: ClientTask, examples: Examples, index: int) -> tuple[Tensor, Tensor]:
    """Return the Poisson batch of local step `index`: histories and targets."""
    seed, rate = bench.experiment.seed, bench.experiment.training.sampling_rate
    coins = rng_for(seed, "batch", task.round, task.client, index).random(len(examples))
    chosen = (coins < rate).nonzero()[0]
    return examples.batch(chosen, rng_for(seed, "window", task.round, task.client, index))


def _step(bench: Workbench, task: ClientTask, num_examples: int) -> PlainStep:
    training = bench.experiment.training
    expected_batch = max(1.0, training.sampling_rate * num_examples)
    pull = Pull(task.proximal_mu, task.parameters)
    if bench.plan.placement != "client":
        return PlainStep(bench.model, training, expected_batch, pull)
    noise = torch_generator_for(bench.experiment.seed, "noise", task.round, task.client)
    return PrivateStep(bench.per_example_model, training, expected_batch, pull, bench.plan, noise)


def _require_adapter(bench: Workbench, task: ClientTask) -> None:
    """Let a sender change the adapter, and nothing else of the model."""
    expected = {name: value.shape for name, value in bench.shared_start.items()}
    found = {name: value.shape for name, value in task.parameters.items()}
    if found != expected:
        names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        message = (
            f"client {task.client} was sent what is not its adapter: {', '.join(names)} missing, unknown or misshapen"
        )
        raise FedrecError(message)


def _require_finite(loss: float, task: ClientTask) -> None:
    if not math.isfinite(loss):
        message = f"loss of client {task.client} is {loss} in round {task.round}; lower training.lr"
        raise FedrecError(message)
