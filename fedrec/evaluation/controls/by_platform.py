"""A control of several platforms is fitted on each of them alone, as if there were no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedrec.data.interactions import Interactions
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.run.preparation import Prepared


@dataclass(frozen=True, eq=False)
class Alone:
    """The platforms of a run, each as a data set of its own.

    Attributes:
        platforms: Whose items and users are whose.
        rows: Each platform's training rows, its users and items numbered from 0.
    """

    platforms: Platforms
    rows: Sequence[Interactions]


def alone(prepared: Prepared) -> Alone:
    """Return the training rows of each platform of a run."""
    platforms = prepared.platforms
    return Alone(platforms, [rows_of(prepared.train, platforms, platform) for platform in range(len(platforms))])


def rows_of(rows: Interactions, platforms: Platforms, platform: int) -> Interactions:
    """Return a platform's rows of a table of all platforms, its users and items numbered from 0."""
    first, end = platforms.users[platform : platform + 2]
    bounds, items = rows.bounds[first : end + 1], platforms.items_of(platform)
    own = slice(int(bounds[0]), int(bounds[-1]))
    return Interactions(bounds - bounds[0], rows.item[own] - items.start, rows.time[own], rows.value[own], len(items))


def fitted(of: Alone, fit: Callable[[Interactions], Scorer]) -> Scorer:
    """Return one scorer of all platforms, given how one is fitted on a platform's rows alone."""
    return together(of, [fit(rows) for rows in of.rows])


def together(of: Alone, scorers: Sequence[Scorer]) -> Scorer:
    """Return the scorers of all platforms as one: each user is scored by its platform's.

    Args:
        of: The platforms.
        scorers: One a platform, of its own items from 0. Items of other platforms score 0, and nobody ranks them.
    """
    if len(scorers) == 1:
        return scorers[0]
    platforms = of.platforms

    def score(queries: Queries) -> Scores:
        scores = np.zeros((len(queries), int(platforms.items[-1])), dtype=np.float32)
        owner = platforms.of_users(queries.users)
        for platform in np.unique(owner):
            items, places = platforms.items_of(platform), np.flatnonzero(owner == platform)
            chosen = queries.at(places.tolist())
            own = replace(
                chosen,
                users=chosen.users - platforms.users[platform],
                histories=[history - items.start for history in chosen.histories],
                wanted=[own - items.start for own in chosen.wanted],
            )
            scores[places, items.start : items.stop] = scorers[platform](own)
        return scores

    return score
