"""Search: which item does a user look for with a few words? Personalised by the history, as the next item is.

At each position the user types a query for the item that comes next (see `fedrec.tasks.search_queries` for what it is
made of), and the softmax over the catalogue is that of `next_item`, given history and query: personalised product
search (Ai et al. 2017), with a language model's vectors for their words. When judged, a recommender is given the vector
of the query, and no number that would name the item.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import Catalogue, IntArray, Interactions
from fedrec.data.split import Cases, Cut
from fedrec.experiment.config import Experiment
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.metrics.ranking import RANKED, evaluate
from fedrec.models.recommender import Recommender
from fedrec.tasks.base import LAST, LAST20, TASKS, Batch, Headline
from fedrec.tasks.next_item import NextItem
from fedrec.tasks.search_queries import SOURCES, judged_queries, query_texts, trained_queries
from fedrec.tasks.windows import Window, Windows

TOGETHER = 64
"""Users whose searches are ranked at once."""

MADE = "queries made from titles and attributes"


class Searches(NamedTuple):
    """One drawn example.

    Attributes:
        window: Items of a user.
        queries: What the user searches with for each but the first, as places among all queries, `[size]`.
    """

    window: Window
    queries: IntArray


@TASKS.register("search")
class Search(NextItem):
    """Find the item that a user searches for; each of a user's items to be found is searched for by itself.

    Args:
        experiment: What is computed.
        source: What queries are made from: words of the "title", "attributes", or "both".

    Raises:
        ConfigError: If there is no such source.
    """

    targets: ClassVar[tuple[Cut, ...]] = tuple(replace(cut, words=f"{cut.words} ({MADE})") for cut in (LAST, LAST20))
    headline: ClassVar[Headline] = Headline("last20", f"mrr@{RANKED}")
    shown: ClassVar[tuple[str, ...]] = ("mrr@10", "recall@10", "recall@20", "ndcg@10")
    controls: ClassVar[tuple[str, ...]] = ("random", "popularity", "text_match", "base", "local_only", "central")
    ranks: ClassVar[bool] = False
    gives: ClassVar[frozenset[str]] = frozenset({"query"})
    must_be_read: ClassVar[frozenset[str]] = frozenset({"query"})
    caution: ClassVar[str] = (
        "The queries were not typed by people. Each is made from its item: at most half of the title's words, and one "
        "or two of its attributes, never the whole title. People ask for what they do not know the title of, and "
        "misspell it."
    )

    def __init__(self, experiment: Experiment, source: str = "both") -> None:
        super().__init__(experiment)
        if source not in SOURCES:
            message = f"task.options.source = {source!r}: should be one of {', '.join(SOURCES)}"
            raise ConfigError(message)
        self.source = source

    def query_texts(self, catalogue: Catalogue) -> list[str]:
        """Return the queries of each item, those for training first.

        Raises:
            ConfigError: If no item has one that it can be judged with.
        """
        texts = query_texts(catalogue, self.source)
        if not any(texts):
            message = (
                f"task.options.source = {self.source!r}: no item has two words in its title, or an attribute, to make "
                "a query from; choose another source, or name data.table.title or data.table.items_path"
            )
            raise ConfigError(message)
        return texts

    def draw(self, examples: Windows, chosen: IntArray, rng: np.random.Generator) -> list[Any]:
        """Return windows as of `next_item`, and behind all of them the drawn queries for their targets."""
        return self.of_windows(super().draw(examples, chosen, rng), rng)

    def judged(self, rows: Interactions, users: IntArray) -> list[Any]:
        """Return each user's last window, with the queries that training never draws."""
        return self.of_windows(super().judged(rows, users), None)

    def cover(self, rows: Interactions, user: int) -> list[Any]:
        """Return the user's sequence in windows end to end, with the queries that training never draws."""
        return self.of_windows(super().cover(rows, user), None)

    def of_windows(self, windows: Sequence[Window], rng: np.random.Generator | None) -> list[Any]:
        """Return windows with queries for their targets, drawn, or those that training never draws."""
        asked = judged_queries if rng is None else partial(trained_queries, rng=rng)
        return [Searches(window, asked(window.items[1:])) for window in windows]

    def size(self, example: Any) -> int:
        """Return the window's positions."""
        size: int = example.window.size
        return size

    def collate(self, examples: Sequence[Any]) -> dict[str, Tensor]:
        """Return what `next_item` does, and "asked", the query at each position, `[batch, longest]`."""
        batch = super().collate([example.window for example in examples])
        asked = np.zeros(batch["target"].shape, dtype=np.int64)
        for row, example in zip(asked, examples, strict=True):
            row[: len(example.queries)] = example.queries
        return {**batch, "asked": torch.from_numpy(asked)}

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's mean loss over its targets, in nats, each given its query."""
        vectors = model.get_buffer("query_vectors")
        return super().losses(model, {**batch, "query": vectors[batch["asked"]]}, sample, items)

    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Rank the catalogue, less the history, once for each item to be found; a user gets the mean of its searches.

        The history is that before the first of these items. With one item to be found "recall@k" is the share of
        searches that find it within the first k.
        """
        parts = [
            self._evaluate(scorer, _searches(cases, slice(start, start + TOGETHER), judged), judged)
            for start in range(0, max(1, len(cases.users)), TOGETHER)
        ]
        ends = np.cumsum([len(targets) for targets in cases.targets])
        values = {name: np.concatenate([part.per_user[name] for part in parts]) for name in parts[0].per_user}
        ranks = np.concatenate([rank for part in parts for rank in part.ranks])
        return Evaluation(
            name=cases.name,
            users=cases.users,
            per_user={
                name: np.array([own.mean() for own in np.split(found, ends[:-1])]) for name, found in values.items()
            },
            ranks=tuple(np.split(ranks, ends[:-1])),
            recommended=np.empty((len(cases.users), 0), dtype=np.int64),
            lists={},
        )

    def _evaluate(self, scorer: Scorer, searches: Cases, judged: Judged) -> Evaluation:
        return evaluate(scorer, searches, judged.num_items, judged.cutoffs, counts=None)


def _searches(cases: Cases, chosen: slice, judged: Judged) -> Cases:
    """Return a case for each of the chosen users' items that is to be found, with the query for it.

    Raises:
        ConfigError: If there are no queries.
    """
    vectors: NDArray[np.float32] | None = judged.query_vectors
    if vectors is None:
        message = "the task search judges recommenders with queries, and nothing was encoded; prepare the run anew"
        raise ConfigError(message)
    targets = cases.targets[chosen]
    owner = np.repeat(np.arange(len(cases.users))[chosen], [len(own) for own in targets]).tolist()
    wanted = np.concatenate([np.empty(0, dtype=np.int64), *targets])
    return Cases(
        name=cases.name,
        users=cases.users[owner],
        histories=[cases.histories[place] for place in owner],
        targets=list(wanted[:, np.newaxis]),
        excluded=cases.excluded,
        words=cases.words,
        history_values=[cases.history_values[place] for place in owner],
        asked=vectors[judged_queries(wanted)],
    )
