"""What a task is: the examples that are learnt from, their loss, and how a recommender is judged on held-out users.

A task is made from an experiment and has no state. An *example* is what one draw of a local step gives: an opaque value
that only its task reads. A *batch* is tensors by name, each with the examples along its first axis; nothing but the
task and the model knows the names.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry, suggest
from fedrec.data.interactions import Catalogue, IntArray, Interactions, Order
from fedrec.data.split import Cases, Cut
from fedrec.experiment.config import Experiment
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.models.recommender import Recommender

Batch = Mapping[str, Tensor]

MOST_SCORES = 2**24
"""Most scores of one call, 64 MiB, where a batch can be taken in parts: a few copies of them live at once."""


def _one(length: int) -> int:
    del length
    return 1


def _fifth(length: int) -> int:
    return max(1, round(0.2 * length))


LAST = Cut("last", "the last item", _one)
LAST20 = Cut("last20", "the last 20 %", _fifth)


@dataclass(frozen=True)
class Headline:
    """What the rounds, the reports and the tests of significance read.

    Attributes:
        target: Name of the target.
        metric: Name of the metric, with its cut-off if it has one.
        higher_is_better: Whether a higher value is a better one.
    """

    target: str
    metric: str
    higher_is_better: bool = True

    def gain(self, value: Any) -> Any:
        """Return a value (a number or an array) such that more is better."""
        return value if self.higher_is_better else -value


RANKING_CONTROLS = frozenset(
    {
        "random",
        "popularity",
        "ease",
        "ease_recency",
        "linear_next_item",
        "linear_sum",
        "item_knn",
        "ials",
        "mult_vae",
        "lightgcn",
        "sasrec",
        "bert4rec",
        "base_popularity",
    }
)
"""Controls whose scores put items in order, and predict no value."""

ODDS_CONTROLS = frozenset({"popularity_odds"})
"""Controls whose scores are log odds: of no use to a task that does not name them among its own."""

QUERY_CONTROLS = frozenset({"text_match"})
"""Controls that read what a user searches with: for tasks that name them among their own."""


class Task(ABC):
    """What is learnt and how it is judged; register one in `TASKS`.

    Args:
        experiment: What is computed.

    Attributes:
        targets: What of each held-out user may be judged.
        headline: What is read first of an evaluation.
        shown: Metrics that get an interval, a paired test and a comparison of groups.
        errors: Those of them of which a lower value is better.
        controls: What a result is put beside, unless the experiment says.
        ranks: Whether lists of items are judged, by `fedrec.metrics.ranking`; private validation users and item counts
            (`evaluation.private`, `privacy.item_counts`) need that.
        gives: What a batch has in training that a recommender may read beside histories and users, by name: "value", as
            `Recommender.score` gets it, or "query".
        must_be_read: Those of them without which there is no such task.
        scores_pairs: Whether few items of a user are scored, so that a recommender may read each by itself.
        heads: In how many ways the scores are read, each with a scale and a shift of its own; 0 where they are read as
            they are.
        loss_scale: Factor of the loss in the logarithm of a likelihood: a half where it is a squared error.
        caution: What a reader of its numbers must know first; "" if there is nothing to say.
    """

    targets: ClassVar[tuple[Cut, ...]] = (LAST, LAST20)
    headline: ClassVar[Headline]
    shown: ClassVar[tuple[str, ...]]
    errors: ClassVar[frozenset[str]] = frozenset()
    controls: ClassVar[tuple[str, ...]]
    ranks: ClassVar[bool] = False
    gives: ClassVar[frozenset[str]] = frozenset()
    must_be_read: ClassVar[frozenset[str]] = frozenset()
    scores_pairs: bool = False
    heads: int = 0
    loss_scale: float = 1.0
    caution: ClassVar[str] = ""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    def query_texts(self, catalogue: Catalogue) -> list[str]:
        """Return the texts that a catalogue is searched with, equally many for each item, in the items' order.

        They are encoded beside the items' own, before any training. By default nobody searches, and there is none.
        """
        del catalogue
        return []

    # Training -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def count(self, lengths: IntArray) -> IntArray:
        """Return how many examples users with so many rows have, `[users]`; no row is read."""

    @abstractmethod
    def positions(self, lengths: IntArray) -> IntArray:
        """Return the size of all examples of users with so many rows, `[users]`: what a step over them costs."""

    @abstractmethod
    def examples(self, rows: Interactions, users: IntArray) -> Sized:
        """Return what can be drawn of these users: `sum(count)` examples; users without any are left out."""

    @abstractmethod
    def draw(self, examples: Any, chosen: IntArray, rng: np.random.Generator) -> list[Any]:
        """Return the chosen examples of what `examples` returned; whatever is random in them comes from `rng`."""

    @abstractmethod
    def judged(self, rows: Interactions, users: IntArray) -> list[Any]:
        """Return one example for each user with at least two rows, without a draw: what a held-out loss is taken of."""

    @abstractmethod
    def cover(self, rows: Interactions, user: int) -> list[Any]:
        """Return examples that have each of a user's rows but the first as a target once; none for fewer than two."""

    @abstractmethod
    def size(self, example: Any) -> int:
        """Return the positions of an example, at least one: examples of similar size are computed together."""

    @abstractmethod
    def collate(self, examples: Sequence[Any]) -> dict[str, Tensor]:
        """Return the examples as a batch, padded to the largest; tensors of no rows for none."""

    def scored(self, positions: int, items: int) -> int:
        """Return how many scores each position of an example of this size takes in training.

        Args:
            positions: Of the example.
            items: Of the catalogue.
        """
        del positions
        return items

    def sample(self, rng: np.random.Generator, items: range) -> Tensor | None:
        """Return what all clients of a step share beside their batches, named by the step; nobody's data decide it.

        Args:
            rng: Of the step.
            items: What may be recommended.
        """
        del rng, items
        return None

    @abstractmethod
    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return the loss of each example; an empty batch gives an empty tensor.

        Args:
            model: The recommender.
            batch: As of `collate`.
            sample: As of `sample`; None where all is computed in full.
            items: What may be recommended: a platform's own items; all of them by default.
        """

    # Judging ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Return how good a recommender is on held-out cases.

        What a user gets of a metric is at least 0, and of a registered metric of ranks at most 1: no interval goes
        beyond.

        Args:
            scorer: The recommender.
            cases: The users, what may be seen of each, and what is to be found.
            judged: The items, what is known of them, and the cut-offs of lists.
        """

    def asked_targets(self, order: Order) -> tuple[Cut, ...]:
        """Return what of each held-out user is judged, in a fixed order.

        Args:
            order: What the rows of the data are ordered by. By default the last item is left out where they have no
                times, because a file's last row is nobody's next item.

        Raises:
            ConfigError: If the experiment asks for a target that the task does not have, or leaves out the headline's.
        """
        known = {cut.name: cut for cut in self.targets}
        asked = self.experiment.evaluation.targets
        if asked is None:
            return tuple(cut for cut in self.targets if cut.name != LAST.name or order == "time")
        for name in asked:
            if name not in known:
                message = f"evaluation.targets: unknown {name!r}{suggest(name, known) or '.'} Known: {', '.join(known)}"
                raise ConfigError(message)
        if self.headline.target not in asked:
            message = (
                f"evaluation.targets = {list(asked)}: should have {self.headline.target!r} among them; the canary, the "
                "groups of users and the pages read it"
            )
            raise ConfigError(message)
        return tuple(cut for cut in self.targets if cut.name in asked)

    @property
    def asked_controls(self) -> tuple[str, ...]:
        """Names of the controls that a result is put beside."""
        asked = self.experiment.evaluation.controls
        return self.controls if asked is None else asked


TASKS: Registry[Callable[..., Task]] = Registry("task", group="fedrec.tasks")


def open_task(experiment: Experiment) -> Task:
    """Return the configured task.

    Raises:
        ConfigError: If there is no such task, it does not take its options, or the experiment asks it for what it
            cannot do.
    """
    kind = TASKS.get(experiment.task.name)
    try:
        task = kind(experiment, **experiment.task.options)
    except TypeError as error:
        message = f"task.options do not fit {experiment.task.name}: {error}"
        raise ConfigError(message) from error
    task.asked_targets("time")
    require_served(task)
    return task


def require_served(task: Task) -> None:
    """Refuse what an experiment asks for beside a task that cannot serve it.

    Raises:
        ConfigError: If it asks for lists of a task that ranks nothing, or for controls whose scores it does not judge.
    """
    experiment = task.experiment
    if not task.ranks and (unranked := _ranked_alone(experiment)):
        message = f"{unranked} is for tasks that rank items, and {experiment.task.name} does not; leave it out"
        raise ConfigError(message)
    unfit = ODDS_CONTROLS | QUERY_CONTROLS | (frozenset() if task.ranks else RANKING_CONTROLS)
    if found := sorted((unfit - {*task.controls}) & {*task.asked_controls}):
        message = (
            f"evaluation.controls: the scores of {', '.join(found)} say nothing that {experiment.task.name} judges; "
            f"choose among {', '.join(task.controls)}"
        )
        raise ConfigError(message)


def _ranked_alone(experiment: Experiment) -> str:
    """Return a key of the experiment that only a task that ranks can serve; "" if it has none."""
    asked = {
        "evaluation.private.epsilon": experiment.evaluation.private.on,
        "privacy.item_counts.share": experiment.privacy.item_counts.share > 0,
        "linear.on": experiment.linear.on,
    }
    return next((key for key, on in asked.items() if on), "")


def rows_at_once(scores: int) -> int:
    """Return how many examples are computed in one call, given the scores of each: at least one, whatever it takes."""
    return max(1, MOST_SCORES // max(1, scores))
