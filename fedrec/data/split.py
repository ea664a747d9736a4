"""Who is held out, and what training may see.

Strong generalisation: whole users are kept out of training; the recommender reads their earlier
interactions as history and must rank their later ones. A `Split` hands training its own rows only.
With `split.later` the latest rows of private training users are kept from training, too: the clients' own later items.
With `split.until` only test users have rows from a moment on.
Negatives come from the catalogue (`any_items`): nothing that draws them has seen any interaction.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray, Interactions
from fedrec.experiment.config import SplitConfig

LATER = "later"
"""Name of what clients' own users are judged on."""

Period = tuple[float, float]
"""From when, until before when, in the data's unit of time; both may be infinite."""

ALWAYS: Period = (-math.inf, math.inf)

TRAINED = 2
"""Rows of a user that always train: without two there is no example."""


@dataclass(frozen=True)
class Cut:
    """Where a held-out user's rows are cut in two: what a recommender may see, and what it must find.

    Attributes:
        name: Name of what must be found.
        words: The same for people.
        found: Number of a user's rows, at least two -> how many of the last ones must be found: fewer than all.
    """

    name: str
    words: str
    found: Callable[[int], int]


@dataclass(frozen=True, eq=False)
class Queries:
    """What a recommender may know of users that it scores items for: nothing of what it must find.

    Attributes:
        users: User index of each.
        histories: Items of each in time order, at least one.
        values: Rating or weight of each item of the histories, of the same lengths.
        asked: Vector of the text that each of them searches with, `[users, width]`; None where nobody searches.
        wanted: Items whose scores are read, of each, where not all are: what is asked about, in an order that tells
            nothing of the answer. Empty where all are read.
        task: Which of several tasks reads the scores; None where there is one.
    """

    users: IntArray
    histories: Sequence[IntArray]
    values: Sequence[NDArray[np.float32]]
    asked: NDArray[np.float32] | None = None
    wanted: Sequence[IntArray] = ()
    task: int | None = None

    def __len__(self) -> int:
        return len(self.histories)

    def at(self, places: Sequence[int]) -> "Queries":
        """Return some of them."""
        return Queries(
            self.users[places],
            [self.histories[place] for place in places],
            [self.values[place] for place in places] if self.values else (),
            None if self.asked is None else self.asked[places],
            [self.wanted[place] for place in places] if self.wanted else (),
            self.task,
        )


@dataclass(frozen=True, eq=False)
class Cases:
    """Held-out users to be judged on, each with a history and the targets that follow it in time.

    Attributes:
        name: Name of the `Cut`.
        words: The same for people.
        users: User index of each case.
        histories: What the recommender may see of each user, in time order, at least one item.
        targets: What it must find, at least one item.
        excluded: Held-out users with fewer than two interactions: nothing to tell from.
        history_values: Rating or weight of each item of the histories; empty where no task reads them.
        target_values: Rating or weight of each target; empty where no task reads them.
        asked: Vector of the text that each user searches with, `[users, width]`; None where nobody searches.
    """

    name: str
    users: IntArray
    histories: Sequence[IntArray]
    targets: Sequence[IntArray]
    excluded: int
    words: str = ""
    history_values: Sequence[NDArray[np.float32]] = ()
    target_values: Sequence[NDArray[np.float32]] = ()
    asked: NDArray[np.float32] | None = None

    def queries(self, chosen: slice) -> Queries:
        """Return what the recommender may know of these cases."""
        asked = None if self.asked is None else self.asked[chosen]
        return Queries(self.users[chosen], self.histories[chosen], self.history_values[chosen], asked)


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test users of one data set; the groups are disjoint.

    Attributes:
        train: The rows of `private` and `public` users, less the later ones that are kept from training.
        private: Training users who only take part in the federation.
        public: Training users who consented to central pretraining; they do not federate.
        validation: Users who pick hyper-parameters and show progress.
        test: Users scored once.
        held_out: The rows of `validation` and `test` users, and the later ones of `private` users, if any are kept
            from training; evaluation's alone.
    """

    train: Interactions
    private: IntArray
    public: IntArray
    validation: IntArray
    test: IntArray
    held_out: Interactions

    def cases(self, users: IntArray, cut: Cut, period: Period = ALWAYS) -> Cases:
        """Cut the rows of held-out `users` in two.

        Args:
            users: The users; those with fewer than two rows in the period are excluded.
            cut: How a number of rows is cut.
            period: Rows to cut: what comes before them is history, too, and what comes after them nobody sees.
        """
        within = np.array([self.held_out.places_between(int(user), *period) for user in users], dtype=np.int64)
        within = within.reshape(-1, 2)
        enough = within[:, 1] - within[:, 0] >= 2
        judged, ends = users[enough], within[enough, 1].tolist()
        items = [self.held_out.items_of(int(user))[:end] for user, end in zip(judged, ends, strict=True)]
        values = [self.held_out.values_of(int(user))[:end] for user, end in zip(judged, ends, strict=True)]
        seen = [end - cut.found(int(end - start)) for start, end in within[enough].tolist()]
        return Cases(
            name=cut.name,
            words=cut.words,
            users=judged,
            histories=[own[:end] for own, end in zip(items, seen, strict=True)],
            targets=[own[end:] for own, end in zip(items, seen, strict=True)],
            excluded=len(users) - len(judged),
            history_values=[own[:end] for own, end in zip(values, seen, strict=True)],
            target_values=[own[end:] for own, end in zip(values, seen, strict=True)],
        )

    def later_cases(self, users: IntArray) -> Cases:
        """Return training users whose later items are to be found after all that training saw of them."""
        judged = users[self.held_out.lengths_of(users) > 0]
        own = [int(user) for user in judged]
        return Cases(
            name=LATER,
            words="their own later items",
            users=judged,
            histories=[self.train.items_of(user) for user in own],
            targets=[self.held_out.items_of(user) for user in own],
            excluded=len(users) - len(judged),
            history_values=[self.train.values_of(user) for user in own],
            target_values=[self.held_out.values_of(user) for user in own],
        )


def split_users(interactions: Interactions, config: SplitConfig, seed: int) -> Split:
    """Shuffle the users and deal them out: training, then validation, then test.

    Shares are rounded to whole users. Users without interactions belong to no group. The shuffle is numpy's
    own for `seed`, so that a split can be reproduced without fedrec: seed 0 gives MovieLens-100K's 660
    training, 94 validation and 189 test users in the order of the benchmark's numbers.

    Raises:
        ConfigError: If a group that was asked for, or training, would be empty.
    """
    if config.validation + config.test >= 1:
        message = (
            f"split.validation={config.validation} and split.test={config.test} leave nobody to train; "
            "their sum must stay below 1"
        )
        raise ConfigError(message)
    users = np.random.default_rng(seed).permutation(np.flatnonzero(np.diff(interactions.bounds)))
    num_test, num_validation = round(config.test * len(users)), round(config.validation * len(users))
    num_train = len(users) - num_test - num_validation
    num_public = round(config.public * num_train)
    public, private, validation, test = np.split(users, [num_public, num_train, num_train + num_validation])
    _require_users(config, test=test, validation=validation, public=public, private=private)
    if config.until is not None:
        interactions = _until(interactions, config.until, test)
    held_out = interactions.are_of(np.concatenate((validation, test))) | _later(interactions, private, config.later)
    return Split(
        train=interactions.where(~held_out),
        private=np.sort(private),
        public=np.sort(public),
        validation=np.sort(validation),
        test=np.sort(test),
        held_out=interactions.where(held_out),
    )


def seconds_of(moment: date | int) -> int:
    """Return a moment in the data's unit of time: a day's first second in UTC since the epoch, a number as it is."""
    return moment if isinstance(moment, int) else int(datetime.combine(moment, time(), UTC).timestamp())


def _until(interactions: Interactions, moment: date | int, later: IntArray) -> Interactions:
    """Return the rows before a moment, and of the users `later` all.

    Raises:
        ConfigError: If nothing is left of the others.
    """
    before = interactions.time < seconds_of(moment)
    of_others = ~interactions.are_of(later)
    if not (before & of_others).any():
        first = int(interactions.time[of_others].min())
        message = (
            f"split.until = {moment} leaves nothing to train on: the first interaction is at {first}; choose later"
        )
        raise ConfigError(message)
    return interactions.where(before | ~of_others)


def _later(interactions: Interactions, users: IntArray, share: float) -> NDArray[np.bool_]:
    """Return which rows are among the latest `share` of their user's, `[rows]`: of others than `users` none.

    At least one a user, but two are left to train on, so that a user of two rows or fewer has none.
    """
    lengths = np.diff(interactions.bounds)
    counts = np.zeros(interactions.num_users, dtype=np.int64)
    if share:
        wanted = np.maximum(1, np.round(share * lengths[users]).astype(np.int64))
        counts[users] = np.minimum(wanted, np.maximum(0, lengths[users] - TRAINED))
    places = np.arange(len(interactions)) - np.repeat(interactions.bounds[:-1], lengths)
    return places >= np.repeat(lengths - counts, lengths)


def _require_users(config: SplitConfig, **groups: IntArray) -> None:
    wanted = {"private": True, **{name: getattr(config, name) > 0 for name in ("test", "validation", "public")}}
    empty = [name for name, users in groups.items() if wanted[name] and len(users) == 0]
    if empty:
        sizes = ", ".join(f"{name} {len(users)}" for name, users in groups.items())
        message = f"the split leaves no {' and no '.join(empty)} users ({sizes}); change the shares in [split]"
        raise ConfigError(message)


def any_items(rng: np.random.Generator, num_items: int, count: int) -> IntArray:
    """Draw `count` items of a catalogue, uniformly with replacement: no interaction decides them."""
    return rng.integers(num_items, size=count)
