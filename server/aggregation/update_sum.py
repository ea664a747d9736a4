"""What a round's usable changes add up to: all that an averaging strategy needs, whoever adds.

A server adds replies one after the other; a worker adds the stacked changes of a chunk of clients where they were
made, so that no cohort ever lies in one memory. Totals of chunks are added in the chunks' order, and no chunk depends
on how many workers there are: neither does any bit of the sum.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.privacy.accounting.filters import Filter
from fedrec.training.task import CohortUpdate, joined
from fedrec.transforms.pipeline import Transforms
from server.aggregation.replies import Rejection, Wanted, check_answer, failed, not_finite, too_long
from server.aggregation.update import Array, Arrays, Update, norm_of
from server.message_size import Sent

Sums = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class UpdateSum:
    """Sums in float64.

    Attributes:
        sums: Sum of `weight * change` over the accepted clients, by parameter name; empty for nobody.
        weight: Sum of their weights.
        accepted: Their numbers, in the order in which they were added.
        rejections: Who was left out, and why.
        bits: Sum of the accepted changes' bits: 1/2 of one no longer than the clip norm, -1/2 of a longer one, and none
            (0) of no change at all, so that a client and the same without its data are 1/2 apart.
        costs: What each accepted change costs its client, by client; empty without filters.
        extras: Sum of the accepted clients' payloads, each of weight 1, by name; empty where their rule has none.
        sent: What the clients sent, as far as whoever added it up has counted it.
    """

    sums: Mapping[str, NDArray[np.float64]]
    weight: float = 0.0
    accepted: Sequence[int] = ()
    rejections: Sequence[Rejection] = ()
    bits: float = 0.0
    costs: Mapping[int, float] = field(default_factory=dict)
    extras: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    sent: Sent = field(default_factory=Sent)

    def __add__(self, other: "UpdateSum") -> "UpdateSum":
        return UpdateSum(
            _added(self.sums, other.sums),
            self.weight + other.weight,
            (*self.accepted, *other.accepted),
            (*self.rejections, *other.rejections),
            self.bits + other.bits,
            {**self.costs, **other.costs},
            _added(self.extras, other.extras),
            self.sent + other.sent,
        )

    def mean(self) -> Arrays:
        """Return the weighted mean change.

        Raises:
            ConfigError: If no update has a weight above 0.
        """
        if not self.weight > 0:
            message = f"a mean needs at least one weight above 0, got {len(self.accepted)} updates without"
            raise ConfigError(message)
        return {name: (value / self.weight).astype(np.float32) for name, value in self.sums.items()}

    def mean_extras(self) -> Arrays:
        """Return the mean payload of the accepted clients, each of weight 1; nothing where there is none."""
        return {name: (value / len(self.accepted)).astype(np.float32) for name, value in self.extras.items()}


def _added(one: Mapping[str, NDArray[np.float64]], other: Mapping[str, NDArray[np.float64]]) -> Sums:
    """Return the sum of two sums by name; an empty one is that of nobody."""
    if not (one and other):
        return dict(one or other)
    return {name: value + other[name] for name, value in one.items()}


@dataclass(frozen=True)
class SumAggregator:
    """How changes are added: clipped where the server's privacy mechanism says so, else rejected if they are too long.

    Where changes are clipped, whose is long is nobody's to know: only what is not finite is then rejected.

    Args:
        max_norm: Longer changes are rejected; any length may be added by default.
        clip_norm: L2 bound of each change, whose weight is then 1; None adds changes as they are, by weight.
        filter: Shortens each clipped change to what its client may still spend; None for clipping alone.
        transforms: What encoded changes come through; they are clipped, or rejected by their length, when decoded.

    Raises:
        PrivacyError: If changes would be both clipped and rejected by their length.
    """

    max_norm: float = math.inf
    clip_norm: float | None = None
    filter: Filter | None = None
    transforms: Transforms = field(default_factory=Transforms)

    def __post_init__(self) -> None:
        if self.clip_norm is not None and self.max_norm < math.inf:
            message = (
                f"changes are clipped to {self.clip_norm:g}, so none may be rejected for a length above "
                f"{self.max_norm:g}, which would tell of private data; leave max_norm out"
            )
            raise PrivacyError(message)

    def add(self, updates: Sequence[Update]) -> UpdateSum:
        """Return the total of checked updates, added in their order."""
        sums, extras = Sums(), Sums()
        weight, bits, costs = 0.0, 0.0, dict[int, float]()
        for update in updates:
            self._require_paid(update.extras)
            norm = norm_of(update.delta)
            factor, weighs = self._factor(update.weight, norm)
            factor *= self._admit_(costs, update.client, norm * factor)
            for name, change in update.delta.items():
                value = np.multiply(change, factor, dtype=np.float64)
                sums[name] = sums[name] + value if name in sums else value
            extras = _added(extras, {name: value.astype(np.float64) for name, value in update.extras.items()})
            weight += weighs
            bits += self._bit(norm)
        return UpdateSum(sums, weight, [update.client for update in updates], bits=bits, costs=costs, extras=extras)

    def add_cohort(self, before: Mapping[str, Array], update: CohortUpdate) -> UpdateSum:
        """Return the total of a chunk's answers to the adapter `before`; what cannot be used is rejected.

        Row by row through one buffer that fits a processor's cache: whole stacks in float64 would go through memory.
        Encoded changes are decoded, checked and added as if they had come in messages.
        """
        if update.encoded:
            return self._add_encoded(before, update)
        rejections = [failed(client, why) for client, why in update.failures.items()]
        if not update.clients:
            return UpdateSum({}, rejections=rejections)
        self._require_paid(update.extras)
        names = sorted(before)
        stack = torch.cat([update.parameters[name].reshape(len(update.clients), -1) for name in names], dim=1)
        start = torch.cat([torch.from_numpy(np.array(before[name])).flatten() for name in names])
        change, total = torch.empty_like(start, dtype=torch.float64), torch.zeros_like(start, dtype=torch.float64)
        weight, accepted, bits, costs, extras = 0.0, [], 0.0, dict[int, float](), Sums()
        for place, client in enumerate(update.clients):
            torch.sub(stack[place], start, out=change)
            norm = float(change.dot(change).sqrt())
            if not math.isfinite(norm) and not (norm > self.max_norm and stack[place].isfinite().all()):
                rejections.append(not_finite(client, _lost(update.parameters, place) or names))
            elif norm > self.max_norm:
                rejections.append(too_long(client, norm, self.max_norm))
            elif bad := _lost(update.extras, place):
                rejections.append(not_finite(client, bad))
            else:
                factor, weighs = self._factor(update.weights[place], norm)
                factor *= self._admit_(costs, client, norm * factor)
                total.add_(change, alpha=factor)
                weight += weighs
                bits += self._bit(norm)
                accepted.append(client)
                extras = _added(extras, {name: value[place].double().numpy() for name, value in update.extras.items()})
        parts = np.split(total.numpy(), np.cumsum([before[name].size for name in names])[:-1])
        sums = {name: part.reshape(before[name].shape) for name, part in zip(names, parts, strict=True)}
        return UpdateSum(sums if accepted else {}, weight, accepted, rejections, bits, costs, extras)

    def _add_encoded(self, before: Mapping[str, Array], update: CohortUpdate) -> UpdateSum:
        """Return the total of a chunk of which some answers are encoded; the others, if any, are added first."""
        plain = joined([answer for client, answer in update.each() if client not in update.encoded])
        total = self.add_cohort(before, replace(plain, failures=update.failures))
        payload = {n: value[0].numpy() for n, value in update.extras.items()}
        wanted = Wanted(before, self.max_norm, payload, self.transforms)
        updates, rejections = list[Update](), list[Rejection]()
        for client, answer in update.each():
            if client not in update.encoded:
                continue
            extras = {name: value[0].numpy() for name, value in answer.extras.items()}
            found = check_answer(client, update.encoded[client], extras, answer.weights[0], wanted)
            if isinstance(found, Update):
                updates.append(found)
            else:
                rejections.append(found)
        return total + self.add(updates) + UpdateSum({}, rejections=rejections)

    def _require_paid(self, extras: Mapping[str, object]) -> None:
        """Refuse payloads where changes are clipped, to be noised: nothing hides them.

        Raises:
            PrivacyError: If there are any.
        """
        if extras and self.clip_norm is not None:
            message = (
                f"changes are clipped and noised as they are added, but clients sent {', '.join(sorted(extras)[:3])} "
                "beside them, which nobody pays for; choose a strategy whose client rule has no payload, or set "
                "privacy.trust=local"
            )
            raise PrivacyError(message)

    def _admit_(self, costs: dict[int, float], client: int, length: float) -> float:
        """Return what a client's clipped change is multiplied by, and write down what it costs."""
        if self.filter is None:
            return 1.0
        factor, costs[client] = self.filter.admit(client, length)
        return factor

    def _short(self, norm: float) -> bool:
        return self.clip_norm is None or norm <= self.clip_norm

    def _bit(self, norm: float) -> float:
        """Return a change's bit (Andrew et al. 2021, section 2.2); a client without data has no change, and no bit."""
        return 0.0 if self.clip_norm is None or norm == 0 else 0.5 if self._short(norm) else -0.5

    def _factor(self, weight: float, norm: float) -> tuple[float, float]:
        """Return what a change is multiplied by, and what it weighs."""
        if self.clip_norm is None:
            return weight, weight
        return (1.0 if self._short(norm) else self.clip_norm / norm), 1.0


def _lost(stack: Mapping[str, torch.Tensor], row: int) -> list[str]:
    """Return the names of what is not finite in a row."""
    return [name for name, value in stack.items() if not value[row].isfinite().all()]
