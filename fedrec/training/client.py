"""Client work, one client at a time: the reference that faster engines are tested against.

Each step draws a Poisson batch by name. Under client-side privacy Opacus clips every example's gradient and
adds noise to the sum (DP-SGD, Abadi et al. 2016); an empty batch still takes its noisy step, because skipping it
would tell that it was empty. The denominator is the expected batch size, fixed beforehand.
"""

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from fedrec.data.examples import Examples
from fedrec.errors import FedrecError
from fedrec.models.adapters import is_private, load_parameters_, trained_parameters
from fedrec.seeding import rng_for, torch_generator_for
from fedrec.training.objective import example_losses
from fedrec.training.task import ClientTask, ClientUpdate
from fedrec.training.workbench import Workbench


def train_client(bench: Workbench, task: ClientTask) -> ClientUpdate:
    """Return what the client answers: a pure function of the task and the bench's settings.

    A client without examples answers with what it was sent, weight 0 without privacy; under client-side privacy
    it adds its noise like everybody else.

    Raises:
        FedrecError: If the loss is not finite: the learning rate is too high, or the parameters were poisoned.
    """
    values = {**bench.start, **task.parameters, **task.private}
    load_parameters_(bench.model, values)
    examples = bench.examples(task.client)
    private = bench.plan.placement == "client"
    step = _PrivateStep(bench, task, len(examples)) if private else _PlainStep(bench, task, len(examples))
    losses = [loss for index in range(bench.experiment.training.steps) if (loss := step(examples, index)) is not None]
    after = {name: parameter.detach().clone() for name, parameter in trained_parameters(bench.model).items()}
    noised = bench.plan.placement != "none"
    adapter = bench.experiment.adapter
    return ClientUpdate(
        parameters={name: value for name, value in after.items() if not is_private(name, adapter)},
        private={name: value for name, value in after.items() if is_private(name, adapter)},
        weight=1.0 if noised else float(len(examples)),
        loss=None if noised or not losses else sum(losses) / len(losses),
    )


class _PlainStep:
    """A gradient step on the Poisson batch, without privacy."""

    def __init__(self, bench: Workbench, task: ClientTask, num_examples: int) -> None:
        self.bench, self.task = bench, task
        self.trained = trained_parameters(bench.model)
        self.anchor = {name: parameter.detach().clone() for name, parameter in self.trained.items()}
        self.expected_batch = max(1.0, bench.experiment.training.sampling_rate * num_examples)
        self.optimizer = make_optimizer(bench, list(self.trained.values()))

    @property
    def model(self) -> nn.Module:
        """The model whose forward pass makes the losses."""
        return self.bench.model

    def __call__(self, examples: Examples, index: int) -> float | None:
        """Take local step `index`; return the batch's mean loss, None for an empty batch."""
        history, target = draw_batch(self.bench, self.task, examples, index)
        self.optimizer.zero_grad()
        loss = None
        if len(history):
            negatives = self.bench.draw_negatives(self.task.round, self.task.client, index)
            losses = example_losses(self.model, history, target, negatives)
            loss = float(losses.mean())
            if not torch.isfinite(losses).all():
                message = f"loss of client {self.task.client} is {loss} in round {self.task.round}; lower training.lr"
                raise FedrecError(message)
            self.backward(losses)
        self.apply(empty=len(history) == 0)
        return loss

    def backward(self, losses: Tensor) -> None:
        """Fill the gradients."""
        (losses.sum() / self.expected_batch).backward()  # type: ignore[no-untyped-call]

    def apply(self, *, empty: bool) -> None:
        """Move the parameters."""
        if empty and self.task.proximal_mu == 0:
            return
        self.pull()
        self.optimizer.step()

    def pull(self) -> None:
        """Add the gradient of `mu / 2 * ||w - global||^2`, which depends on no example."""
        if self.task.proximal_mu:
            for name, parameter in self.trained.items():
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = gradient + self.task.proximal_mu * (parameter.detach() - self.anchor[name])


class _PrivateStep(_PlainStep):
    """A DP-SGD step through Opacus: per-example clip, noise on the sum."""

    def __init__(self, bench: Workbench, task: ClientTask, num_examples: int) -> None:
        super().__init__(bench, task, num_examples)
        self.wrapped = bench.per_example_model
        generator = torch_generator_for(bench.experiment.seed, "noise", task.round, task.client)
        self.private_optimizer = DPOptimizer(
            self.optimizer,
            noise_multiplier=bench.plan.noise_multiplier,
            max_grad_norm=bench.plan.clip_norm,
            expected_batch_size=self.expected_batch,  # type: ignore[arg-type]
            loss_reduction="mean",
            generator=generator,
        )

    @property
    def model(self) -> nn.Module:
        """The model under Opacus' hooks."""
        return self.wrapped

    def backward(self, losses: Tensor) -> None:
        """Fill every example's gradient."""
        losses.sum().backward()  # type: ignore[no-untyped-call]

    def apply(self, *, empty: bool) -> None:
        """Clip, add noise and move; an empty batch moves by its noise alone."""
        if empty:
            for parameter in self.private_optimizer.params:
                parameter.grad_sample = torch.zeros(0, *parameter.shape)
        if self.private_optimizer.pre_step():
            self.pull()
            self.optimizer.step()
        self.private_optimizer.zero_grad()


def make_optimizer(bench: Workbench, parameters: list[nn.Parameter]) -> Optimizer:
    """Return a fresh local optimiser as configured."""
    training = bench.experiment.training
    kind: type[torch.optim.SGD | torch.optim.Adam] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[
        training.optimizer
    ]
    return kind(parameters, lr=training.lr)


def draw_batch(bench: Workbench, task: ClientTask, examples: Examples, index: int) -> tuple[Tensor, Tensor]:
    """Return the Poisson batch of local step `index`: histories and targets."""
    seed, rate = bench.experiment.seed, bench.experiment.training.sampling_rate
    coins = rng_for(seed, "batch", task.round, task.client, index).random(len(examples))
    chosen = (coins < rate).nonzero()[0]
    return examples.batch(chosen, rng_for(seed, "window", task.round, task.client, index))
