"""What arrives in a window, and how good a recommender is for it: what users did, or what a choice model does.

`Recorded` is the data: users touch in a window what they touched, whatever they are recommended. `Simulated` closes
the loop: users of the window look at the list of the current model, and what they choose is what arrives and is trained
on. Simulated choices are no data: they tell how a loop of this model and these tastes behaves, and nothing of people.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.split import Cases, Queries
from fedrec.evaluation.controls.linear.ease import ease_scorer
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.statistics.significance import FloatArray
from fedrec.metrics.evaluation import Scorer
from fedrec.metrics.ranking import RANKED, finite_scores, ranked_items
from fedrec.run.preparation import Prepared
from simulations.replay.choice import choice_share, choose


@dataclass(frozen=True, eq=False)
class Seen:
    """A window as it begins.

    Attributes:
        number: Of the window.
        cases: Its users with a history, and what the data say that they touch in it.
        before: All that arrived before it.
        coming: What the data say that arrives in it.
        end: When it ends.
    """

    number: int
    cases: Cases
    before: Interactions
    coming: Interactions
    end: int


class World(Protocol):
    """Where interactions come from."""

    name: ClassVar[str]

    def metric(self, evaluator: Evaluator) -> str:
        """Return the name of what a recommender is judged by."""

    def served(self, evaluator: Evaluator, scorer: Scorer, seen: Seen) -> tuple[FloatArray, Interactions]:
        """Return how each user of the cases is served, and what arrives if this is the recommender in use."""


class Recorded:
    """Users do what they did."""

    name: ClassVar[str] = "recorded"

    def metric(self, evaluator: Evaluator) -> str:
        """Return the headline's metric."""
        return evaluator.task.headline.metric

    def served(self, evaluator: Evaluator, scorer: Scorer, seen: Seen) -> tuple[FloatArray, Interactions]:
        """Return the headline's metric, and the data."""
        return evaluator.judge(scorer, seen.cases).per_user[self.metric(evaluator)], seen.coming


class Simulated:
    """Users of a window choose from the lists that they are shown, as often as they touched something in the data.

    An item's utility is its score by EASE, fitted on all recorded interactions and asked with all of the user's, less
    the best item's, in standard deviations over the catalogue: a taste that is taken from the data, and that the model
    in the loop never sees as such. So the best item alone is chosen as often as nothing. Users who are new keep what
    they did: there is no list for them.

    Args:
        rows: All recorded interactions.
        seed: Of the choices.
        source: The data.

    Raises:
        ConfigError: If there are several platforms: a list here is of all items.
    """

    name: ClassVar[str] = "simulated"

    def __init__(self, rows: Interactions, seed: int, source: Prepared) -> None:
        if len(source.platforms) > 1:
            message = (
                "--feedback simulates one catalogue, and this experiment has several platforms; choose one of them"
            )
            raise ConfigError(message)
        self._rows, self._seed, self._taste = rows, seed, ease_scorer(rows)

    def metric(self, evaluator: Evaluator) -> str:
        """Return the name of the expected share of looks that end with a choice, lists of ten."""
        del evaluator
        return f"simulated_choice@{RANKED}"

    def served(self, evaluator: Evaluator, scorer: Scorer, seen: Seen) -> tuple[FloatArray, Interactions]:
        """Return the expected share of looks at a user's list that end with a choice, and what is chosen."""
        del evaluator
        users, histories = seen.cases.users, seen.cases.histories
        scores = finite_scores(scorer(seen.cases.queries(slice(None))), users, self._rows.num_items)
        lists = [row[row >= 0] for row in ranked_items(scores, histories)[:, :RANKED]]
        utilities = [of[own] for of, own in zip(self._utilities(users), lists, strict=True)]
        shares = np.array([choice_share(of) for of in utilities], dtype=np.float64)
        chosen = [
            own[choose(of, len(targets), rng_for(self._seed, "simulated choice", seen.number, int(user)))]
            for user, own, of, targets in zip(users, lists, utilities, seen.cases.targets, strict=True)
        ]
        return shares, self._arriving(seen, chosen)

    def _utilities(self, users: IntArray) -> NDArray[np.float64]:
        own = [int(user) for user in users]
        known = Queries(users, [self._rows.items_of(u) for u in own], [self._rows.values_of(u) for u in own])
        scores = self._taste(known).astype(np.float64)
        spread = scores.std(axis=1, keepdims=True)
        return np.asarray((scores - scores.max(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0))

    def _arriving(self, seen: Seen, chosen: list[IntArray]) -> Interactions:
        """Return the choices as rows at the window's last moment, in their order, and the rows of those who are new."""
        new = seen.coming.where(~seen.coming.are_of(seen.cases.users))
        items = np.concatenate([np.empty(0, dtype=np.int64), *chosen])
        users = np.repeat(seen.cases.users, [len(own) for own in chosen])
        last = np.full(len(items), seen.end - 1, dtype=np.int64)
        return Interactions.from_rows(
            np.concatenate((new.user, users)),
            np.concatenate((new.item, items)),
            np.concatenate((new.time, last)),
            np.concatenate((new.value, np.ones(len(items), dtype=np.float32))),
            self._rows.num_users,
            self._rows.num_items,
        )
