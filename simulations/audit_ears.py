"""What the adversary of an audit hears while a run goes on, and how much each canary looks as if it were in.

Ears sit where clients' work is called for, so the run itself is the production code: strategy, grid, ledger and all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from clients.cohort import CohortRequest
from fedrec.privacy.audit.books import uncharged
from fedrec.privacy.audit.canaries import Canaries
from fedrec.privacy.plan import PrivacyPlan
from fedrec.training.task import CohortTask, CohortUpdate, joined, nobody
from fedrec.training.vectorized import train_cohort
from fedrec.training.workbench import Workbench
from server.base import MeanStrategy
from server.total import Adder
from server.update import Arrays
from simulations.engine.work import Parameters, Train

Vector = NDArray[np.float64]

CLAIMED_EXAMPLES = 1000.0
"""Weight that a canary claims where sums are heard: it must not count."""


@dataclass(frozen=True, eq=False)
class Notes:
    """What any ear writes down.

    Attributes:
        plan: What clients may tell.
        asked: Who was asked, by round.
        told: What answers said beside the parameters that nobody paid for.
    """

    plan: PrivacyPlan
    asked: dict[int, list[int]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def take(self, request: CohortRequest, update: CohortUpdate) -> None:
        """Write down a question and its answers."""
        self.asked.setdefault(request.round, []).extend(request.clients)
        self.told.extend(uncharged(update, self.plan))


@dataclass(frozen=True, eq=False)
class NoEar:
    """An adversary who sees the final model alone; only notes are taken.

    Attributes:
        train: The clients' work.
        notes: What is written down.
    """

    train: Train
    notes: Notes

    def __call__(self, request: CohortRequest, parameters: Parameters) -> CohortUpdate:
        """Return the clients' answers as they are."""
        update = self.train(request, parameters)
        self.notes.take(request, update)
        return update


@dataclass(eq=False)
class UpdateEar:
    """Under local trust, and without privacy, the server sees every update: a canary is sought in its own.

    Attributes:
        train: The clients' work.
        canaries: Who is sought.
        clear: The bench on which a canary's update is what it would be without noise, were it in.
        notes: What else was heard.
        sums: `<what was seen, what it would be without noise>` over the rounds so far, `[canaries]`.
    """

    train: Train
    canaries: Canaries
    clear: Workbench
    notes: Notes
    sums: Vector = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros(len(self.canaries))

    def __call__(self, request: CohortRequest, parameters: Parameters) -> CohortUpdate:
        """Return the clients' answers as they are; listen."""
        update = self.train(request, parameters)
        self.notes.take(request, update)
        seen = dict(update.each())
        if sought := [client for client in update.clients if client in self.canaries.clients]:
            sent = {name: torch.from_numpy(value.copy()) for name, value in parameters.items()}
            task = CohortTask(sought, request.round, sent, proximal_mu=request.proximal_mu)
            for client, expected in train_cohort(self.clear, task).each():
                products = [
                    torch.sum((seen[client].parameters[name] - before) * (expected.parameters[name] - before)).double()
                    for name, before in sent.items()
                ]
                self.sums[client - self.canaries.first] += float(sum(products))
        return update

    def scores(self, expected_cohort: float) -> Vector:
        """Return how much each canary's own updates look as if it were in, `[canaries]`."""
        del expected_cohort  # it divides sums only
        return self.sums


@dataclass(eq=False)
class SumEar:
    """Where sums are heard (trust `central` and `secure-aggregation`) the adversary knows everybody but the canaries.

    A canary is a client that answers with a long step along a direction of its own, now forwards and now backwards (so
    that noise which repeats cancels), and claims many examples; it answers with no change if it is out. Whatever it
    does, the server's bracket must hold. Noise that is correlated is taken apart first: the adversary knows how.

    Attributes:
        train: The clients' work.
        canaries: Who is sought.
        directions: Of length 1, orthogonal, `[canaries, parameters]`.
        length: Length of a canary's step; well above the clip norm.
        strategy: Knows how a round's changes are clipped and added.
        notes: What else was heard.
        others: What everybody but the canaries adds up to, by round.
        everybody: The same with them.
        heard: Noised means, as they come.
        clips: The rounds' clip norms.
    """

    train: Train
    canaries: Canaries
    directions: Vector
    length: float
    strategy: MeanStrategy
    notes: Notes
    others: dict[int, Vector] = field(default_factory=dict)
    everybody: dict[int, Vector] = field(default_factory=dict)
    heard: list[Vector] = field(default_factory=list)
    clips: dict[int, float] = field(default_factory=dict)

    def __call__(self, request: CohortRequest, parameters: Parameters) -> CohortUpdate:
        """Return the clients' answers, the canaries' as they make them; listen."""
        real = [client for client in request.clients if client not in self.canaries.clients]
        planted = [client for client in request.clients if client in self.canaries.clients]
        update = self.train(replace(request, clients=real), parameters) if real else nobody({})
        self.notes.take(request, update)
        adder = self.adder
        self.clips[request.round] = adder.clip_norm or 1.0
        answers = self._answers(planted, request.round, parameters)
        for sums, part in ((self.others, update), (self.everybody, update), (self.everybody, answers)):
            total = adder.add_cohort(parameters, part).sums
            now = sums.setdefault(request.round, np.zeros(self.directions.shape[1]))
            sums[request.round] = now + _flat(total) if total else now
        return joined([replace(update, private={}), answers])

    @property
    def adder(self) -> Adder:
        """How a sum's changes are clipped, whoever adds them."""
        plan = self.strategy.setting.plan
        return Adder(clip_norm=plan.clip_norm) if plan.placement == "sum" else self.strategy.adder

    def listen_(self) -> None:
        """Hear what the strategy makes of each round before it takes its step."""
        step = self.strategy.step

        def heard(update: Arrays) -> Arrays:
            self.heard.append(_flat(update))
            return step(update)

        self.strategy.step = heard  # type: ignore[method-assign]

    def scores(self, expected_cohort: float) -> Vector:
        """Return each canary's share in what was heard: sums less the others', along its direction, `[canaries]`."""
        scores, factor = np.zeros(len(self.canaries)), self.strategy.setting.plan.factor
        rest = self._apart([m * expected_cohort - self.others.get(n, 0.0) for n, m in enumerate(self.heard, 1)])
        for number in range(1, len(rest) + 1):
            # A canary of this round is in what it and the next rounds leave, as often as the factor says.
            traces = [weight * later for weight, later in zip(factor, rest[number - 1 :], strict=False)]
            scores += self._may(number) * self._sign(number) * (self.directions @ np.sum(traces, axis=0))
        return scores

    def noise(self, expected_cohort: float) -> list[Vector]:
        """Return what was heard less what everybody adds up to, in clip norms, uncorrelated, a vector a round."""
        noise = [mean * expected_cohort - self.everybody.get(n, 0.0) for n, mean in enumerate(self.heard, 1)]
        return [value / self.clips.get(n, 1.0) for n, value in enumerate(self._apart(noise), 1)]

    def _apart(self, values: Sequence[Vector]) -> list[Vector]:
        """Return `C` times the rounds' vectors: noise `C^-1 z` becomes `z`."""
        factor = self.strategy.setting.plan.factor
        return [
            np.sum([weight * values[here - age] for age, weight in enumerate(factor[: here + 1])], axis=0)
            for here in range(len(values))
        ]

    def _may(self, number: int) -> NDArray[np.bool_]:
        """Return which canaries may be in a round, `[canaries]`."""
        clients, bands = np.array(self.canaries.clients), self.strategy.setting.plan.bands
        return np.asarray(clients % bands == number % bands)

    def _sign(self, number: int) -> int:
        return -1 if (number - 1) // self.strategy.setting.plan.bands % 2 else 1

    def _answers(self, planted: Sequence[int], number: int, parameters: Parameters) -> CohortUpdate:
        rows = np.array(planted, dtype=np.int64) - self.canaries.first
        steps = self.canaries.included[rows, None] * self.directions[rows] * self.length * self._sign(number)
        ends = np.cumsum([parameters[name].size for name in sorted(parameters)])
        parts = dict(zip(sorted(parameters), np.split(steps, ends[:-1], axis=1), strict=True))
        after = {
            name: torch.from_numpy((before + parts[name].reshape(len(planted), *before.shape)).astype(before.dtype))
            for name, before in parameters.items()
        }
        count = len(planted)
        return CohortUpdate(list(planted), after if count else {}, {}, [CLAIMED_EXAMPLES] * count, [None] * count)


def _flat(arrays: Mapping[str, NDArray[np.floating]]) -> Vector:
    """Return all arrays end to end, in the order of their names."""
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)]).astype(np.float64)
