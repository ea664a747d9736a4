"""Re-ranking: from a user's best items by score to a list that is also good by something else.

A list is chosen greedily. At each step the candidate of the largest `(1 - weight) * relevance - weight * penalty` comes
next, where the penalty depends on what the list has already. With weight 0 the list is what it was.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedrec.core.registry import Registry
from fedrec.data.interactions import IntArray
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.metrics.evaluation import Judged, Scorer, Scores
from fedrec.metrics.ranking import finite_scores, ranked_items

FloatArray = NDArray[np.float64]
Penalty = Callable[[list[int]], FloatArray]
"""Places of the candidates chosen so far -> penalty of each candidate if it came next, `[candidates]`."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What one user's list is chosen from.

    Attributes:
        history: Items of the user, in time order.
        items: The candidates, best score first, at least one.
        relevance: Of each candidate, its score on a scale from 0, the worst candidate's, to 1, the best one's; all 0 if
            they have the same.
    """

    history: IntArray
    items: IntArray
    relevance: FloatArray


class Reranker(ABC):
    """What a list is to be good by beside relevance; register one in `RERANKERS`.

    Args:
        judged: What is known of the items.

    Attributes:
        metric: What it improves, for people.
        higher_is_better: Whether a higher value of that is a better one.

    Raises:
        ConfigError: If what it reads is not known.
    """

    metric: ClassVar[str]
    higher_is_better: ClassVar[bool]

    @abstractmethod
    def __init__(self, judged: Judged) -> None: ...

    @abstractmethod
    def penalty(self, candidates: Candidates) -> Penalty:
        """Return how a user's candidates are judged."""

    @abstractmethod
    def values(self, lists: Sequence[IntArray], histories: Sequence[IntArray]) -> FloatArray:
        """Return the metric of each user's list, given what the user had seen; nan where it is undefined."""


RERANKERS: Registry[Callable[[Judged], Reranker]] = Registry("re-ranking method", group="fedrec.rerankers")


def choose(candidates: Candidates, penalty: Penalty, weight: float, length: int) -> IntArray:
    """Return a list of `length` items, or of all candidates if they are fewer; of equals the better score is first.

    Args:
        candidates: Of one user.
        penalty: Of them.
        weight: Of the penalty, in [0, 1].
        length: Of the list, at least 1.
    """
    chosen: list[int] = []
    for _ in range(min(length, len(candidates.items))):
        worth = (1 - weight) * candidates.relevance - weight * penalty(chosen)
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
    return candidates.items[chosen]


def reranked(  # noqa: PLR0913, PLR0917 - what a list is made of
    scorer: Scorer, reranker: Reranker, weight: float, platforms: Platforms, length: int, pool: int
) -> Scorer:
    """Return a scorer by which the items stand in the order of the re-ranked list, and behind it as they stood.

    Args:
        scorer: The recommender.
        reranker: What its lists are to be good by.
        weight: Of that, in [0, 1].
        platforms: Whose items and users are whose: a list is chosen among the items of the user's own platform.
        length: Of the lists, at least 1.
        pool: How many candidates each is chosen from, at least 1.
    """

    def score(queries: Queries) -> Scores:
        scores = finite_scores(scorer(queries), queries.users, int(platforms.items[-1]))
        places = np.zeros_like(scores)
        for row, (user, history) in enumerate(zip(queries.users, queries.histories, strict=True)):
            items = platforms.items_of(int(platforms.of_users(np.array([user]))[0]))
            own = slice(items.start, items.stop)
            (order,) = ranked_items(scores[row : row + 1, own], [history - items.start])
            order = order[order >= 0] + items.start
            if len(order):
                best = _candidates(history, order[:pool], scores[row])
                first = choose(best, reranker.penalty(best), weight, length)
                order = np.concatenate((first, order[~np.isin(order, first)]))
            places[row, order] = -np.arange(len(order))
        return places

    return score


def _candidates(history: IntArray, items: IntArray, scores: Scores) -> Candidates:
    own = scores[items].astype(np.float64)
    span = own[0] - own[-1]
    return Candidates(history, items, (own - own[-1]) / span if span > 0 else np.zeros(len(own)))
