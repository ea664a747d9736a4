"""One local step: forward, backward, move; plainly, or as DP-SGD through Opacus."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from fedrec.experiment.config import TrainingConfig
from fedrec.models.adapters import trained_parameters
from fedrec.models.recommender import Recommender
from fedrec.privacy.plan import PrivacyPlan
from fedrec.tasks import Task
from fedrec.tasks.base import rows_at_once
from fedrec.training.rules.round import RuleRound

OPTIMIZERS: dict[str, type[torch.optim.SGD | torch.optim.Adam]] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


class PlainStep:
    """A gradient step on a Poisson batch, without privacy.

    Args:
        model: The recommender; its open parameters are moved.
        task: What is learnt.
        training: Optimiser and learning rate.
        expected_batch: Denominator of the losses' sum, fixed beforehand.
        rule: What the client's rule adds to the gradient.
    """

    def __init__(
        self, model: Recommender, task: Task, training: TrainingConfig, expected_batch: float, rule: RuleRound
    ) -> None:
        self.model, self.task, self.rule, self.expected_batch = model, task, rule, expected_batch
        self.trained = trained_parameters(model)
        self.optimizer: Optimizer = OPTIMIZERS[training.optimizer](self.trained.values(), lr=training.lr)

    def __call__(self, examples: Sequence[Any], sample: Tensor | None, items: range) -> float | None:
        """Move the parameters; return the batch's mean loss, None for an empty batch, whose gradient is 0.

        Args:
            examples: Of the batch, as the task draws them.
            sample: What the step's clients share.
            items: What may be recommended to them.
        """
        losses = self.differentiate(examples, sample, items)
        self.turn()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(losses.mean()) if len(losses) else None

    def differentiate(self, examples: Sequence[Any], sample: Tensor | None, items: range) -> Tensor:
        """Fill the gradients of the losses' sum over the expected batch, and return the losses, `[batch]`.

        Part after part of a batch that has more than `MOST_SCORES` scores: a client may hold any number of users.
        """
        longest = max((self.task.size(example) for example in examples), default=1)
        most, parts = rows_at_once(longest * self.task.scored(longest, len(items))), [torch.empty(0)]
        batch = self.task.collate(examples)
        for first in range(0, len(examples), most):
            rows = {name: value[first : first + most] for name, value in batch.items()}
            losses = self.task.losses(self.model, rows, sample, items)
            (losses.sum() / self.expected_batch).backward()  # type: ignore[no-untyped-call]
            parts.append(losses.detach())
        for parameter in self.trained.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return torch.cat(parts)

    def turn(self) -> None:
        """Replace the gradients by the rule's direction."""
        gradient = {n: parameter.grad[None] for n, parameter in self.trained.items() if parameter.grad is not None}
        parameters = {name: parameter.detach()[None] for name, parameter in self.trained.items()}
        for name, turned in self.rule.direction(gradient, parameters).items():
            self.trained[name].grad = turned[0]


class PrivateStep(PlainStep):
    """A DP-SGD step through Opacus: per-example clip, noise on the sum; an empty batch moves by its noise alone.

    An example whose gradient has no finite norm adds nothing: no clip would bound it, and an error would tell of it.

    Args:
        model: The recommender under Opacus' hooks (`TrainingContext.per_example_model`).
        task: What is learnt.
        training: Optimiser and learning rate.
        expected_batch: Denominator of the noised sum, fixed beforehand.
        rule: What the client's rule adds, behind the noise: it is given no example.
        plan: Clip norm and noise.
        generator: Source of the noise.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what a plain step takes, and what privacy adds)
        self,
        model: Recommender,
        task: Task,
        training: TrainingConfig,
        expected_batch: float,
        rule: RuleRound,
        plan: PrivacyPlan,
        generator: torch.Generator,
    ) -> None:
        super().__init__(model, task, training, expected_batch, rule)
        self.private_optimizer = _FiniteSums(
            self.optimizer,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.clip_norm,
            expected_batch_size=expected_batch,
            loss_reduction="mean",
            generator=generator,
        )
        _forget_(model, self.trained.values())

    def differentiate(self, examples: Sequence[Any], sample: Tensor | None, items: range) -> Tensor:
        """Fill the gradients of the clipped and noised sum over the expected batch; return the losses, `[batch]`."""
        empty = not examples
        losses = torch.empty(0) if empty else self.task.losses(self.model, self.task.collate(examples), sample, items)
        if empty:
            for parameter in self.private_optimizer.params:
                parameter.grad_sample = torch.zeros(0, *parameter.shape)
        else:
            with warnings.catch_warnings():
                # Item vectors and indices need no gradient; Opacus' hooks read those of the outputs, which is right.
                warnings.filterwarnings("ignore", "Full backward hook is firing when gradients are computed")
                losses.sum().backward()  # type: ignore[no-untyped-call]
        self.private_optimizer.pre_step()
        for parameter in self.private_optimizer.params:
            parameter.grad_sample = parameter.summed_grad = None
        return losses.detach()


class _FiniteSums(DPOptimizer):  # type: ignore[misc] # Opacus has no types
    """Opacus' optimiser, whose clipped sums leave out what is not finite: a factor of 0 times infinity is none."""

    def clip_and_accumulate(self) -> None:
        """Clip and sum; again without the examples at fault where a sum is not finite, which is rare."""
        super().clip_and_accumulate()
        if all(parameter.summed_grad.isfinite().all() for parameter in self.params):
            return
        samples = self.grad_samples
        norms = torch.stack([sample.reshape(len(sample), -1).norm(2, dim=1) for sample in samples]).norm(2, dim=0)
        for parameter, sample in zip(self.params, samples, strict=True):
            lost = ~norms.isfinite().view(-1, *(1,) * (sample.dim() - 1))
            parameter.grad_sample, parameter.summed_grad = sample.masked_fill(lost, 0.0), None
        super().clip_and_accumulate()


def _forget_(model: Recommender, trained: Iterable[nn.Parameter]) -> None:
    """Drop what a task that broke off between forward and backward left in the hooks: it would spoil the next one."""
    for module in model.modules():
        for left in ("activations", "max_batch_len"):
            if hasattr(module, left):
                delattr(module, left)
    for parameter in trained:
        parameter.grad = None
        vars(parameter).update(grad_sample=None, _forward_counter=0)
