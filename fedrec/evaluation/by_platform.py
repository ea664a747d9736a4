"""Each platform's held-out users are judged on its own items, as if it were alone; then all of it is put together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray
from fedrec.data.platform import Platforms
from fedrec.data.split import Cases, Queries
from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.evaluation import MACRO, Evaluation, Judged, Scorer, Scores
from fedrec.tasks import Task


def evaluate_by_platform(task: Task, scorer: Scorer, cases: Cases, judged: Judged, platforms: Platforms) -> Evaluation:
    """Return how good a recommender is on held-out cases, each among the items of its own platform.

    Of several platforms, values of users and their lists stay in the order of the cases, the metrics of lists are means
    over platforms, and so are those called `macro_` of the per-user metrics.

    Args:
        task: How it is judged.
        scorer: The recommender, of all items.
        cases: Held-out users of any platform; platforms without any are left out.
        judged: All items, what is known of them, and the cut-offs of lists.
        platforms: Whose items and users are whose.
    """
    if len(platforms) == 1:
        return task.evaluate(scorer, cases, judged)
    owner = platforms.of_users(cases.users)
    order, parts = [], []
    for platform in np.unique(owner):
        items, places = platforms.items_of(platform), np.flatnonzero(owner == platform)
        parts.append(_alone(task, scorer, _chosen(cases, places, items), judged, items))
        order.append(places)
    return _reordered(joined(parts), np.argsort(np.concatenate(order)))


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluations of several platforms, at least one, as one: first the users of the first, and so on."""
    lists = [{name: value for name, value in part.lists.items() if not name.startswith(MACRO)} for part in parts]
    means = [{f"{MACRO}{name}": value for name, value in part.means.items()} for part in parts]
    return Evaluation(
        name=parts[0].name,
        users=np.concatenate([part.users for part in parts]),
        per_user={name: np.concatenate([part.per_user[name] for part in parts]) for name in parts[0].per_user},
        ranks=tuple(ranks for part in parts for ranks in part.ranks),
        recommended=np.concatenate([part.recommended for part in parts]),
        lists={**_mean(lists), **_mean(means)},
    )


def _alone(task: Task, scorer: Scorer, cases: Cases, judged: Judged, items: range) -> Evaluation:
    own = slice(items.start, items.stop)
    known = replace(
        judged,
        num_items=len(items),
        counts=None if judged.counts is None else judged.counts[own],
        item_vectors=None if judged.item_vectors is None else judged.item_vectors[own],
        query_vectors=None
        if judged.query_vectors is None
        else _queries_of(judged.query_vectors, judged.num_items, own),
        kinds=None if judged.kinds is None else judged.kinds[own],
    )
    found = task.evaluate(within(scorer, items), cases, known)
    return replace(found, recommended=np.where(found.recommended < 0, -1, found.recommended + items.start))


def _queries_of(vectors: NDArray[np.float32], num_items: int, own: slice) -> NDArray[np.float32]:
    """Return the query vectors of a platform's items, given equally many of each of all items."""
    each = len(vectors) // num_items
    return vectors[own.start * each : own.stop * each]


def within(scorer: Scorer, items: range) -> Scorer:
    """Return the scorer as a recommender of one platform alone, whose items are numbered from 0."""

    def score(queries: Queries) -> Scores:
        histories, wanted = ([own + items.start for own in of] for of in (queries.histories, queries.wanted))
        shifted = replace(queries, histories=histories, wanted=wanted)
        return scorer(shifted)[:, items.start : items.stop]

    return score


def _chosen(cases: Cases, places: IntArray, items: range) -> Cases:
    """Return some of the cases, their items numbered from 0; whom `excluded` counts, the whole knows alone."""
    histories, targets = ([of[place] - items.start for place in places] for of in (cases.histories, cases.targets))
    seen, found = ([of[place] for place in places] if of else () for of in (cases.history_values, cases.target_values))
    return Cases(cases.name, cases.users[places], histories, targets, 0, cases.words, seen, found)


def _reordered(found: Evaluation, places: IntArray) -> Evaluation:
    return replace(
        found,
        users=found.users[places],
        per_user={name: values[places] for name, values in found.per_user.items()},
        ranks=tuple(found.ranks[place] for place in places) if found.ranks else (),
        recommended=found.recommended[places],
    )


def _mean(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: mean_over_users(np.array([table[name] for table in tables])) for name in tables[0]}
