"""From a run's folder to scores: the one way to use a finished recommender, without any held-out data.

It reads the experiment, what clients read of `private/prepared/` (the catalogue, item vectors and the base) and the
released adapter in `public/`. What never left the clients is as it was drawn, as for every user that nobody trained on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from fedrec.core.errors import DataError, RunError
from fedrec.core.places import PUBLIC
from fedrec.data.interactions import Catalogue, IntArray
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.linear.branch import load_scorer_
from fedrec.models.recommender import Recommender
from fedrec.run.directory import ADAPTER
from fedrec.run.job import Job
from fedrec.run.typed_queries import TypedQueries


@dataclass(frozen=True, eq=False)
class OpenedRecommender:
    """A finished recommender.

    Attributes:
        model: With its adapter loaded.
        scorer: Scores of all items for queries, as evaluations ask for them: of the model, and of a linear branch if it
            has one.
        catalogue: Its items, of all platforms.
        platforms: Which of them are whose.
        typed: How a typed text becomes what the recommender reads.
    """

    model: Recommender
    scorer: Scorer
    catalogue: Catalogue
    platforms: Platforms
    typed: TypedQueries

    def score(self, histories: Sequence[Sequence[str]], values: Sequence[Sequence[float]] | None = None) -> Scores:
        """Return the score of every item after each history, `[histories, items]`; no rows for none.

        Of several tasks that were learnt jointly, it is read as the first one does.

        Args:
            histories: Identifiers of items in time order, at least one each.
            values: Rating or weight of each item of the histories; 1 by default.

        Raises:
            DataError: If a history is empty, names an unknown item, or has another number of values.
        """
        if not histories:
            return np.empty((0, len(self.catalogue)), dtype=np.float32)
        items = [self._indices(history) for history in histories]
        weights = [np.ones(len(own), dtype=np.float32) for own in items]
        if values is not None:
            weights = [np.array(own, dtype=np.float32) for own in values]
        if [len(own) for own in weights] != [len(own) for own in items]:
            message = "each history needs as many values as it has items"
            raise DataError(message)
        return self.scorer(Queries(np.arange(len(items)), items, weights, task=0))

    def search(self, text: str, history: Sequence[str], k: int = 10) -> list[str]:
        """Return the identifiers of the `k` items that are searched for with a text, best first; fewer if there are.

        None is of the history, which the search is personalised by: a run of the task `search` judges itself like that.

        Raises:
            DataError: As `recommend` does.
            RunError: If the run was not trained to search, or its encoder is another by now.
        """
        seen, platform = self._seen(history)
        asked = self.typed.vector(text, platform)[np.newaxis]
        weights = [np.ones(len(seen), dtype=np.float32)]
        return self._best(self.scorer(Queries(np.arange(1), [seen], weights, asked, task=0))[0], seen, platform, k)

    def recommend(self, history: Sequence[str], k: int = 10) -> list[str]:
        """Return the identifiers of the `k` best items that are not in the history, best first; fewer if there are.

        They are items of the platform that the history is of.

        Raises:
            DataError: If the history is empty, names an unknown item, or items of several platforms.
        """
        seen, platform = self._seen(history)
        return self._best(self.score([history])[0], seen, platform, k)

    def _seen(self, history: Sequence[str]) -> tuple[IntArray, int]:
        """Return the items of a history and their platform."""
        seen = self._indices(history)
        found = {self.platforms.of_item(int(item)) for item in seen}
        if len(found) > 1:
            names = ", ".join(self.platforms.names[platform] for platform in sorted(found))
            message = f"a history is of one platform, and this one has items of {names}; ask of each by itself"
            raise DataError(message)
        (platform,) = found
        return seen, platform

    def _best(self, scores_of_all: NDArray[np.float32], seen: IntArray, platform: int, k: int) -> list[str]:
        items = self.platforms.items_of(platform)
        scores = np.full(len(self.catalogue), -np.inf, dtype=np.float32)
        scores[items.start : items.stop] = scores_of_all[items.start : items.stop]
        scores[seen] = -np.inf
        best = np.argsort(-scores, kind="stable")[: max(0, k)]
        return [self.catalogue.ids[item] for item in best if np.isfinite(scores[item])]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.catalogue.ids)}

    def _indices(self, history: Iterable[str]) -> IntArray:
        names = list(history)
        unknown = [name for name in names if name not in self._places]
        if unknown or not names:
            found = f"unknown items {unknown[:3]}" if unknown else "an empty history"
            message = f"{found}: name items of the catalogue as it does, for example {list(self.catalogue.ids[:3])}"
            raise DataError(message)
        return np.array([self._places[name] for name in names], dtype=np.int64)


def open_recommender(run: Path) -> OpenedRecommender:
    """Return the recommender of a finished run.

    Args:
        run: The run's folder.

    Raises:
        RunError: If the run has no finished adapter.
    """
    adapter = run / PUBLIC / ADAPTER
    if not adapter.is_file():
        message = f"{run} has no finished recommender ({adapter} is missing); finish it with: fedrec resume {run}"
        raise RunError(message)
    job = Job(run)
    model = job.model()
    scorer = load_scorer_(model, load_file(adapter), job.experiment)
    return OpenedRecommender(model, scorer, job.prepared.catalogue, job.prepared.platforms, TypedQueries(job))
