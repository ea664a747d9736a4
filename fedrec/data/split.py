"""Who is held out, and what training may see.

Strong generalisation: whole users are kept out of training; the recommender reads their earlier
interactions as history and must rank their later ones. A `Split` hands training its own rows only, and
owns the negatives: nothing that draws them has ever seen a held-out interaction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray, Interactions, Order
from fedrec.experiment.config import SplitConfig


@dataclass(frozen=True, eq=False)
class Cases:
    """Held-out users to be ranked, each with a history and the targets that follow it in time.

    Attributes:
        name: "last" (the last item) or "last20" (the last 20 %).
        users: User index of each case.
        histories: What the recommender may see of each user, in time order, at least one item.
        targets: What it must rank highly, at least one item.
        excluded: Held-out users with fewer than two interactions: nothing to rank from.
    """

    name: str
    users: IntArray
    histories: Sequence[IntArray]
    targets: Sequence[IntArray]
    excluded: int


def _last(length: int) -> int:
    del length
    return 1


def _last20(length: int) -> int:
    return max(1, round(0.2 * length))


TARGETS: dict[str, Callable[[int], int]] = {"last": _last, "last20": _last20}
"""Target name -> how many of a user's `length` interactions are targets (fewer than all)."""


def ranked_targets(asked: Sequence[str] | None, order: Order) -> tuple[str, ...]:
    """Return which of `TARGETS` are ranked, in their order.

    Args:
        asked: Names of targets; None for all that make sense: without times not "last", because a file's last row is
            nobody's next item.
        order: What the rows of the data are ordered by.
    """
    if asked is None:
        asked = ("last20",) if order == "file" else tuple(TARGETS)
    return tuple(target for target in TARGETS if target in asked)


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test users of one data set; the groups are disjoint.

    Attributes:
        train: The rows of `private` and `public` users, and of nobody else.
        private: Training users who only take part in the federation.
        public: Training users who consented to central pretraining; they do not federate.
        validation: Users who pick hyper-parameters and show progress.
        test: Users scored once.
        held_out: The rows of `validation` and `test` users; evaluation's alone.
    """

    train: Interactions
    private: IntArray
    public: IntArray
    validation: IntArray
    test: IntArray
    held_out: Interactions

    def cases(self, users: IntArray, target: str) -> Cases:
        """Cut the histories of held-out `users` in two at the time that `target` says."""
        sequences = [self.held_out.items_of(int(user)) for user in users]
        long_enough = [index for index, sequence in enumerate(sequences) if len(sequence) >= 2]
        cuts = [len(sequences[index]) - TARGETS[target](len(sequences[index])) for index in long_enough]
        return Cases(
            name=target,
            users=users[long_enough],
            histories=[sequences[index][:cut] for index, cut in zip(long_enough, cuts, strict=True)],
            targets=[sequences[index][cut:] for index, cut in zip(long_enough, cuts, strict=True)],
            excluded=len(users) - len(long_enough),
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
    return Split(
        train=interactions.of_users(np.concatenate((private, public))),
        private=np.sort(private),
        public=np.sort(public),
        validation=np.sort(validation),
        test=np.sort(test),
        held_out=interactions.of_users(np.concatenate((validation, test))),
    )


def _require_users(config: SplitConfig, **groups: IntArray) -> None:
    wanted = {"private": True, **{name: getattr(config, name) > 0 for name in ("test", "validation", "public")}}
    empty = [name for name, users in groups.items() if wanted[name] and len(users) == 0]
    if empty:
        sizes = ", ".join(f"{name} {len(users)}" for name, users in groups.items())
        message = f"the split leaves no {' and no '.join(empty)} users ({sizes}); change the shares in [split]"
        raise ConfigError(message)


class Negatives:
    """The only code that draws negatives; it is handed training interactions alone.

    Args:
        train: Interactions of the training users.
    """

    def __init__(self, train: Interactions) -> None:
        self._train = train

    def shared(self, rng: np.random.Generator, count: int) -> IntArray:
        """Draw `count` items of the catalogue, uniformly with replacement: candidates of a sampled softmax.

        They do not depend on any user, so they cost no privacy. A target drawn as its own negative is
        masked by the loss.
        """
        return any_items(rng, self._train.num_items, count)

    def of_user(self, rng: np.random.Generator, user: int, count: int) -> IntArray:
        """Draw `count` items that the training user has not touched, uniformly with replacement.

        Raises:
            ConfigError: If the user has touched the whole catalogue.
        """
        untouched = np.setdiff1d(np.arange(self._train.num_items), self._train.items_of(user))
        if len(untouched) == 0:
            message = f"user {user} has touched all {self._train.num_items} items: no negative is left to draw"
            raise ConfigError(message)
        return rng.choice(untouched, size=count)


def any_items(rng: np.random.Generator, num_items: int, count: int) -> IntArray:
    """Draw `count` items of a catalogue, uniformly with replacement: no interaction decides them."""
    return rng.integers(num_items, size=count)
