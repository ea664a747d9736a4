"""Held-out users of several platforms: each judged as on its own platform alone, and all of it put together."""

import numpy as np
import pytest

from fedrec.data.platform import Platforms
from fedrec.data.split import Cases, Queries
from fedrec.evaluation.by_platform import evaluate_by_platform, within
from fedrec.metrics.beyond_accuracy import LIST_METRICS, kinds_of
from fedrec.metrics.evaluation import MACRO, Judged, Scores
from fedrec.tasks.next_item import NextItem
from tests.handmade import experiment

PLATFORMS = Platforms(("books", "films"), np.array([0, 4, 9]), np.array([0, 2, 5]))
TASK = NextItem(experiment())
SCORES = np.array(
    [
        # books               films, which no reader is offered
        [0.1, 0.4, 0.2, 0.3, 9.0, 9.0, 9.0, 9.0, 9.0],
        [0.4, 0.3, 0.2, 0.1, 9.0, 9.0, 9.0, 9.0, 9.0],
        [9.0, 9.0, 9.0, 9.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        [9.0, 9.0, 9.0, 9.0, 0.5, 0.4, 0.3, 0.2, 0.1],
        [9.0, 9.0, 9.0, 9.0, 0.3, 0.1, 0.5, 0.2, 0.4],
    ],
    dtype=np.float32,
)
VECTORS = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
KINDS = kinds_of(["a", "b", "a|b", "", "c", "a", "c", "b|c", "a"], "kind")
JUDGED = Judged(9, (1, 2), counts=np.arange(9), item_vectors=VECTORS, kinds=KINDS)


def cases(*users: int) -> Cases:
    histories = {0: [0], 1: [1], 2: [4], 3: [8], 4: [5]}
    targets = {0: [1], 1: [3, 2], 2: [7], 3: [4], 4: [6, 8]}
    rows = ([np.array(of[user]) for user in users] for of in (histories, targets))
    return Cases("last20", np.array(users), *rows, excluded=0)


def scorer(queries: Queries) -> Scores:
    return SCORES[queries.users]


def alone(*users: int) -> dict[str, float]:
    """The metrics of a platform whose items are all there is."""
    own = PLATFORMS.items_of(int(PLATFORMS.of_users(np.array(users[:1]))[0]))
    part = cases(*users)
    histories, targets = ([items - own.start for items in of] for of in (part.histories, part.targets))
    local = Cases("last20", part.users, histories, targets, 0)
    columns = slice(own.start, own.stop)
    judged = Judged(len(own), JUDGED.cutoffs, JUDGED.counts[columns], VECTORS[columns], kinds=KINDS[columns])
    found = TASK.evaluate(lambda queries: SCORES[queries.users][:, columns], local, judged)
    return {**found.means, **found.lists}


def test_users_are_ranked_among_the_items_of_their_own_platform() -> None:
    found = evaluate_by_platform(TASK, scorer, cases(0, 1, 2, 3, 4), JUDGED, PLATFORMS)
    # user 0: item 1 is first of 1, 3, 2. user 1: 0, 2, 3. user 2: 8, 7, 6, 5. user 3: 4 is first. user 4: 6, 8, 4, 7
    assert [ranks.tolist() for ranks in found.ranks] == [[1], [3, 2], [2], [1], [1, 2]]
    assert found.recommended.tolist() == [[1, 3], [0, 2], [8, 7], [4, 5], [6, 8]]


def test_a_platforms_metrics_are_those_that_it_has_alone_and_the_macro_mean_counts_platforms_alike() -> None:
    found = evaluate_by_platform(TASK, scorer, cases(0, 1, 2, 3, 4), JUDGED, PLATFORMS)
    books, films = alone(0, 1), alone(2, 3, 4)
    for name, values in found.per_user.items():
        assert values[:2].mean() == pytest.approx(books[name])
        assert values[2:].mean() == pytest.approx(films[name])
        assert found.lists[f"{MACRO}{name}"] == pytest.approx((books[name] + films[name]) / 2)
        assert found.means[name] == pytest.approx((2 * books[name] + 3 * films[name]) / 5)
    for name in (f"{metric}@2" for metric in LIST_METRICS.names()):
        assert found.lists[name] == pytest.approx((books[name] + films[name]) / 2)


def test_the_order_of_the_cases_is_kept() -> None:
    mixed, sorted_ = (
        evaluate_by_platform(TASK, scorer, cases(*users), JUDGED, PLATFORMS) for users in ((4, 0, 3, 1), (0, 1, 3, 4))
    )
    assert mixed.users.tolist() == [4, 0, 3, 1]
    places = [1, 3, 2, 0]  # of users 0, 1, 3 and 4 among the mixed ones
    for name, values in mixed.per_user.items():
        np.testing.assert_array_equal(values[places], sorted_.per_user[name])
    np.testing.assert_array_equal(mixed.recommended[places], sorted_.recommended)
    assert [mixed.ranks[place].tolist() for place in places] == [ranks.tolist() for ranks in sorted_.ranks]


def test_one_platform_is_judged_as_ever_and_has_no_macro_mean() -> None:
    single = Platforms(("data",), np.array([0, 9]), np.array([0, 5]))
    found = evaluate_by_platform(TASK, scorer, cases(0, 2), JUDGED, single)
    expected = TASK.evaluate(scorer, cases(0, 2), JUDGED)
    assert found.to_json() == expected.to_json()
    assert not [name for name in found.lists if name.startswith(MACRO)]


def test_a_platforms_recommender_is_asked_in_the_numbers_of_all_items() -> None:
    seen: list[Queries] = []

    def scorer(queries: Queries) -> np.ndarray:
        seen.append(queries)
        return np.zeros((len(queries), 9), dtype=np.float32)

    ones = [np.ones(1, dtype=np.float32)]
    asked = Queries(np.array([3]), [np.array([0])], ones, np.eye(1, 2, dtype=np.float32), [np.array([1, 2])], task=1)
    assert within(scorer, range(5, 8))(asked).shape == (1, 3)
    (own,) = seen
    assert (own.histories[0].tolist(), own.wanted[0].tolist()) == ([5], [6, 7])
    assert (own.asked.tolist(), own.task) == ([[1.0, 0.0]], 1)


def test_some_of_the_queries_are_theirs_in_every_respect() -> None:
    values = [np.array([2.0], dtype=np.float32), np.array([3.0], dtype=np.float32)]
    asked = Queries(
        np.array([3, 4]),
        [np.array([0]), np.array([1])],
        values,
        np.eye(2, dtype=np.float32),
        [np.array([6]), np.array([7])],
        1,
    )
    one = asked.at([1])
    assert (one.users.tolist(), one.histories[0].tolist(), one.values[0].tolist()) == ([4], [1], [3.0])
    assert (one.asked.tolist(), one.wanted[0].tolist(), one.task) == ([[0.0, 1.0]], [7], 1)
    bare = Queries(np.array([3, 4]), [np.array([0]), np.array([1])], ()).at([0])
    assert (bare.values, bare.asked, bare.wanted, bare.task) == ((), None, (), None)
