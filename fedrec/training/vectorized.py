"""Client work, many clients at once: what `train_client` does for one, for a whole chunk in one sweep.

The clients' adapters are stacked, `[clients, *shape]`; every local step draws each client's own batch by the same
names as the reference, and `torch.func.vmap` takes the gradient of every block (see `fedrec.training.blocks`) under
its own client's adapter. In a round's first step all clients still share one adapter, so none is copied; what is
frozen is never copied, and what depends on it alone is computed once for all. Under client-side privacy a block is
one example, whose gradient is clipped as Opacus clips it, or left out if it is not finite; and each client's noise
comes from its own generator as Opacus draws it. The optimisers are torch's own: they work element by element, so on
stacked parameters each client has a state of its own.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from fedrec.core.seeding import torch_generator_for
from fedrec.models.recommender import Recommender
from fedrec.tasks import Batch, Task
from fedrec.training.blocks import MOST_ROWS, Group, groups_of
from fedrec.training.client import draw_batch, expected_batch, not_finite, require_adapter
from fedrec.training.context import TrainingContext
from fedrec.training.rules.round import RuleRound
from fedrec.training.steps import OPTIMIZERS
from fedrec.training.task import CohortTask, CohortUpdate

MOST_POSITIONS = 4096
"""Positions of one vectorised call on a processor: more run no faster."""

MOST_SCORES = 2**23
"""Scores of one such call, positions times items: 32 MiB, of which a few copies live at once."""

SCORE_BYTES = 32
"""Memory that a score takes on a GPU while its gradient is computed: eight copies in single precision, with room."""

OPACUS_TINY = 1e-6
"""What Opacus adds to a gradient's norm before it divides by it."""

Stack = dict[str, Tensor]
"""Parameters by name, a row a client: `[clients, *shape]`."""


def train_cohort(context: TrainingContext, task: CohortTask) -> CohortUpdate:
    """Return what the clients answer, each as `train_client` would, up to rounding.

    A pure function of task and context.

    Clients whose loss is not finite fail where the server may know; no other client notices.

    Raises:
        FedrecError: If the task carries other parameters than the adapter's, or such that are not finite.
    """
    require_adapter(context, task.clients[0], task.parameters)
    sweep = _Sweep(context, task)
    for index in range(context.experiment.training.steps):
        sweep.step(index)
    return sweep.update()


class _Sweep:
    """The stacked adapters of a chunk of clients on their way through a round.

    Args:
        context: What all tasks share.
        task: The clients, and what they start from.
    """

    def __init__(self, context: TrainingContext, task: CohortTask) -> None:
        self.context, self.task = context, task
        self.private = context.plan.trust == "local"
        self.examples = [context.examples(client) for client in task.clients]
        self.expected = torch.tensor([expected_batch(context, client) for client in task.clients], dtype=torch.float64)
        self.anchor = {name: value.to(context.device) for name, value in {**context.start, **task.parameters}.items()}
        own = {name: value.to(context.device) for name, value in task.private.items()}
        self.stack = {
            name: own[name].clone() if name in own else value.expand(len(task.clients), *value.shape).clone()
            for name, value in self.anchor.items()
        }
        training = context.experiment.training
        self.optimizer = OPTIMIZERS[training.optimizer](self.stack.values(), lr=training.lr)
        noisy = task.clients if self.private else ()
        self.noise = [torch_generator_for(context.secret_seed, "noise", task.round, client) for client in noisy]
        self.objective = _Objective(context.model, context.task)
        self.rule = RuleRound(context, task)
        self.platforms = np.array([context.platform(client) for client in task.clients], dtype=np.int64)
        self.losses: list[tuple[Tensor, list[int]]] = []

    def step(self, index: int) -> None:
        """Take local step `index` of every client."""
        sums, losses = self._gradients(index)
        if self.private:
            self._add_noise_(sums)
        for name, parameter in self.stack.items():
            parameter.grad = sums[name].div_(_beside(self.expected.to(sums[name]), sums[name]))
        for name, turned in self.rule.direction(sums, self.stack).items():
            self.stack[name].grad = turned
        self.optimizer.step()
        self.losses.append(losses)

    def update(self) -> CohortUpdate:
        """Return the answers as they stand."""
        task = self.task
        sums = torch.stack([loss for loss, _ in self.losses]).cpu().numpy()  # the one time that a device is waited for
        counts = np.array([count for _, count in self.losses])
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)  # [steps, clients]
        failures = {} if self.context.discreet else _failures(means, counts, task)
        if self.context.plan.trust == "secure-aggregation":
            self._undo_lost_()
        if self.context.sums_are_noised:
            self._undo_without_data_()
        extras, kept = self.rule.final(self.stack)
        rows = [row for row, client in enumerate(task.clients) if client not in failures]
        stack, extras, kept = (
            {name: value.cpu() if not failures else value.cpu()[rows] for name, value in some.items()}
            for some in (self.stack, extras, kept)
        )
        open_ = self.context.plan.trust == "none"
        parameters, private = self.context.split(stack)
        return CohortUpdate(
            clients=[task.clients[row] for row in rows],
            parameters=parameters,
            private=private,
            weights=[float(len(self.examples[row])) if open_ else 1.0 for row in rows],
            losses=[float(np.nanmean(means[:, row])) if open_ and counts[:, row].any() else None for row in rows],
            failures=failures,
            extras=extras,
            kept=kept,
        )

    def _undo_lost_(self) -> None:
        """Let clients whose parameters are not finite stand where they began: no client may drop out for its data."""
        lost = ~torch.stack([value.flatten(1).isfinite().all(dim=1) for value in self.stack.values()]).all(dim=0)
        if lost.any():
            for name, value in self.stack.items():
                own = self.task.private.get(name)
                value[lost] = self.anchor[name] if own is None else own.to(value)[lost]

    def _undo_without_data_(self) -> None:
        """Let clients without examples stand where they began, whatever their rule (see `train_client`)."""
        if empty := [row for row, examples in enumerate(self.examples) if not len(examples)]:
            for name in self.task.parameters:
                self.stack[name][empty] = self.anchor[name]

    def _gradients(self, index: int) -> tuple[Stack, tuple[Tensor, list[int]]]:
        """Return the clients' sums of (clipped) gradients, their sums of losses, and how many examples these have."""
        context, task = self.context, self.task
        batches = [
            draw_batch(context, task.round, client, examples, index)
            for client, examples in zip(task.clients, self.examples, strict=True)
        ]
        # A row more than clients, for the gradients that no sum may have.
        nobody = len(task.clients)
        sums = {name: value.new_zeros(nobody + 1, *value.shape[1:]) for name, value in self.stack.items()}
        losses = next(iter(sums.values())).new_zeros(nobody)
        rows = 1 if self.private else MOST_ROWS
        for platform in np.unique(self.platforms).tolist():
            items, sample = context.platforms.items_of(platform), context.sample(task.round, index, platform)
            own = [drawn if of == platform else [] for drawn, of in zip(batches, self.platforms, strict=True)]
            most = most_positions(context.task.scored(0, len(items)), context.device) // context.model.position_cost
            for group in groups_of(context.task, own, most, most_rows=rows):
                on_device = group.to(context.device)
                gradients, loss = self._differentiate(on_device, sample, items, shared=index == 0)
                owner = on_device.owner
                if self.private:
                    owner = owner.where(clip_(gradients, context.plan.clip_norm), nobody)
                for name, gradient in gradients.items():
                    sums[name].index_add_(0, owner, gradient)
                losses.index_add_(0, on_device.owner, loss)
        return {name: value[:nobody] for name, value in sums.items()}, (losses, [len(batch) for batch in batches])

    def _differentiate(
        self, group: Group, sample: Tensor | None, items: range, *, shared: bool
    ) -> tuple[Stack, Tensor]:
        """Return each block's gradient and loss among a platform's items, summed over its examples."""
        common: Mapping[str, Tensor] = self.task.parameters if shared else {}
        parameters = {
            name: self.anchor[name] if name in common else value[group.owner] for name, value in self.stack.items()
        }
        dims = {name: None if name in common else 0 for name in parameters}
        loss = partial(self._loss, items=items)
        gradients, losses = vmap(grad_and_value(loss), in_dims=(dims, dict.fromkeys(group.batch, 0), None))(
            parameters, group.batch, sample
        )
        return gradients, losses

    def _loss(self, parameters: Mapping[str, Tensor], batch: Batch, sample: Tensor | None, items: range) -> Tensor:
        values = {f"model.{name}": value for name, value in parameters.items()}
        losses: Tensor = functional_call(self.objective, values, (batch, sample, items))
        return losses.sum()

    def _add_noise_(self, sums: Stack) -> None:
        deviation = self.context.plan.noise_multiplier * self.context.plan.clip_norm
        if deviation:
            # Drawn on the processor, as Opacus draws it, and sent to a device in one piece a parameter.
            noise = {name: torch.empty(total.shape, dtype=total.dtype) for name, total in sums.items()}
            for row, generator in enumerate(self.noise):
                for drawn in noise.values():
                    drawn[row].normal_(0.0, deviation, generator=generator)
            for name, drawn in noise.items():
                sums[name] += drawn.to(sums[name].device, non_blocking=True)


class _Objective(nn.Module):
    """The loss as a module, so that its model's parameters can be replaced for a call."""

    def __init__(self, model: Recommender, task: Task) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, batch: Batch, sample: Tensor | None, items: range) -> Tensor:
        """Return each example's loss."""
        return self.task.losses(self.model, batch, sample, items)


def most_positions(scored: int, device: torch.device) -> int:
    """Return how many positions one vectorised call may have: on a GPU what half of its free memory holds.

    Args:
        scored: Scores of a position.
        device: Where they are computed.
    """
    if device.type == "cuda":
        return max(1, torch.cuda.mem_get_info(device)[0] // 2 // (SCORE_BYTES * max(1, scored)))
    return max(1, min(MOST_POSITIONS, MOST_SCORES // max(1, scored)))


def clip_(gradients: Stack, clip_norm: float) -> Tensor:
    """Scale each row over all names together to an L2 norm of at most `clip_norm`, as Opacus does.

    Returns:
        Which rows have a finite norm: no others may be added to anything.
    """
    norms = torch.stack([gradient.reshape(len(gradient), -1).norm(2, dim=1) for gradient in gradients.values()]).norm(
        2, dim=0
    )
    factors, finite = (clip_norm / (norms + OPACUS_TINY)).clamp(max=1.0), torch.isfinite(norms)
    for gradient in gradients.values():
        gradient.mul_(_beside(factors, gradient))
    return finite


def _failures(means: NDArray[np.floating], counts: NDArray[np.int64], task: CohortTask) -> dict[int, str]:
    """Return what is said of each client with a loss that is not finite: its first one."""
    failures: dict[int, str] = {}
    for index, row in np.argwhere((counts > 0) & ~np.isfinite(means)):  # step by step
        client = task.clients[row]
        failures.setdefault(
            client, "FedrecError: " + not_finite(float(means[index, row]), client, task.round, int(index))
        )
    return failures


def _beside(values: Tensor, rows: Tensor) -> Tensor:
    """Return one value a row in a shape that multiplies `rows`."""
    return values.view(-1, *(1,) * (rows.dim() - 1))
