"""Several tasks at once on one trunk, weighed by how uncertain each is (Kendall, Gal & Cipolla 2018).

An example is learnt from by all tasks; with `s` the logarithm of a task's variance its loss `L` counts as
`c L exp(-s) + s / 2`, where `c` is a half for a squared error and 1 for a cross-entropy (equations 5 and 10). The same
scores mean a place in an order to one task and stars to another, so each reads them by a scale and a shift of its own.
All three numbers of each task are parameters like others: they are trained, travel, and are clipped and noised with the
rest of a change where privacy is on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import Catalogue, IntArray, Interactions
from fedrec.data.split import Cases, Queries
from fedrec.experiment.config import Experiment, TaskConfig
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer, Scores
from fedrec.models.recommender import JOINT, OfTask, Recommender
from fedrec.tasks.base import TASKS, Batch
from fedrec.tasks.sequences import SequenceTask
from fedrec.tasks.windows import Window, Windows


class Example(NamedTuple):
    """One drawn example: a window, as each task has it."""

    window: Window
    parts: tuple[Any, ...]


@TASKS.register("joint")
class Joint(SequenceTask):
    """Learn several tasks that read windows of users' sequences; the first one's headline is read first.

    Args:
        experiment: What is computed.
        tasks: Their names, with commas between them, at least two.
        options: Of a task, with its name in front: `rating_centre`, `click_threshold`.

    Raises:
        ConfigError: If a task is unknown, repeated or of another kind, or two report the same metric.
    """

    def __init__(self, experiment: Experiment, tasks: str = "next_item, rating", **options: Any) -> None:
        super().__init__(experiment)
        names = [name.strip() for name in str(tasks).split(",")]
        self.members = [_member(name, experiment, _own(name, options)) for name in names]
        if unknown := [key for key in options if not any(key.startswith(f"{name}_") for name in names)]:
            message = f"unexpected option {unknown[0]!r}; an option has the name of its task in front"
            raise TypeError(message)
        _require_apart(names, self.members)
        first, *_ = self.members
        # What other tasks are by their class, this one is by its members.
        vars(self).update(
            targets=tuple(cut for cut in first.targets if all(cut.name in _names(one) for one in self.members)),
            headline=first.headline,
            shown=tuple(metric for one in self.members for metric in one.shown),
            errors=frozenset().union(*(one.errors for one in self.members)),
            controls=("base", "local_only", "central"),
            gives=frozenset().union(*(one.gives for one in self.members)),
            must_be_read=frozenset().union(*(one.must_be_read for one in self.members)),
            scores_pairs=all(one.scores_pairs for one in self.members),
            caution=" ".join(one.caution for one in self.members if one.caution),
            heads=len(self.members),
        )

    def query_texts(self, catalogue: Catalogue) -> list[str]:
        """Return those of the task that has any."""
        return [text for one in self.members for text in one.query_texts(catalogue)]

    def draw(self, examples: Windows, chosen: IntArray, rng: np.random.Generator) -> list[Any]:
        """Return windows, as each task makes them its own, one task after the other."""
        return self._each(super().draw(examples, chosen, rng), rng)

    def judged(self, rows: Interactions, users: IntArray) -> list[Any]:
        """Return each user's last window, as each task judges it."""
        return self._each(super().judged(rows, users), None)

    def cover(self, rows: Interactions, user: int) -> list[Any]:
        """Return the user's sequence in windows end to end, as each task judges them."""
        return self._each(super().cover(rows, user), None)

    def _each(self, windows: Sequence[Window], rng: np.random.Generator | None) -> list[Any]:
        parts = [one.of_windows(windows, rng) for one in self.members]
        return [Example(window, own) for window, own in zip(windows, zip(*parts, strict=True), strict=True)]

    def size(self, example: Any) -> int:
        """Return the window's positions."""
        return super().size(example.window)

    def collate(self, examples: Sequence[Any]) -> dict[str, Tensor]:
        """Return the tensors of all tasks: what two of them have they have alike, because their windows are."""
        batch: dict[str, Tensor] = {}
        for place, one in enumerate(self.members):
            batch |= one.collate([example.parts[place] for example in examples])
        return batch

    def scored(self, positions: int, items: int) -> int:
        """Return the scores of all tasks together."""
        return sum(one.scored(positions, items) for one in self.members)

    def sample(self, rng: np.random.Generator, items: range) -> Tensor | None:
        """Return the largest of the samples, all of which are uniform; None where a task scores the whole catalogue."""
        drawn = [found for one in self.members if (found := one.sample(rng, items)) is not None]
        whole = any(one.scored(1, len(items)) >= len(items) for one in self.members)
        return None if whole or not drawn else max(drawn, key=len)

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's sum over tasks of its weighed loss."""
        places = torch.arange(len(self.members), device=batch["history"].device)
        own: Tensor = model.get_submodule(JOINT)(places.expand(len(batch["history"]), -1))
        total = own.new_zeros(len(own))
        for place, one in enumerate(self.members):
            numbers = own[:, place]
            loss = one.losses(cast("Recommender", OfTask(model, numbers)), batch, sample, items)  # to a task it is one
            total = total + weighed(loss, numbers[:, 2], one.loss_scale)
        return total

    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Return what each task says of the recommender's scores as it reads them; the first task's lists."""
        found = [one.evaluate(_as_read_by(scorer, place), cases, judged) for place, one in enumerate(self.members)]
        return replace(
            found[0],
            per_user={name: values for one in found for name, values in one.per_user.items()},
            lists={name: value for one in found for name, value in one.lists.items()},
        )


def weighed(loss: Tensor, log_variance: Tensor, scale: float) -> Tensor:
    """Return `scale * loss * exp(-s) + s / 2`, least at `s = log(2 * scale * loss)`."""
    return scale * loss * torch.exp(-log_variance) + log_variance / 2


def _as_read_by(scorer: Scorer, place: int) -> Scorer:
    def score(queries: Queries) -> Scores:
        return scorer(replace(queries, task=place))

    return score


def _names(task: SequenceTask) -> set[str]:
    return {cut.name for cut in task.targets}


def _own(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(f"{name}_"): value for key, value in options.items() if key.startswith(f"{name}_")}


def _member(name: str, experiment: Experiment, options: dict[str, Any]) -> SequenceTask:
    own = experiment.model_copy(update={"task": TaskConfig(name=name, options=options)})
    made = TASKS.get(name)(own, **options)
    if not isinstance(made, SequenceTask) or isinstance(made, Joint):
        message = f"task.options.tasks: {name} does not read windows of sequences, as tasks that are learnt jointly do"
        raise ConfigError(message)
    return made


def _require_apart(names: Sequence[str], members: Sequence[SequenceTask]) -> None:
    """Refuse fewer than two tasks, one that is named twice, and two that report the same metric.

    Raises:
        ConfigError: If there are such.
    """
    shown = [metric for one in members for metric in one.shown]
    twice = sorted({metric for metric in shown if shown.count(metric) > 1})
    if len({*names}) < max(2, len(names)) or twice:
        both = f"; two of them report {twice[0]}" if twice else ""
        message = f"task.options.tasks = {', '.join(names)!r}: should be at least two tasks, each once{both}"
        raise ConfigError(message)
