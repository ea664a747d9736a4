"""What knows nothing of a user: random scores, popularity, and the odds that popularity gives."""

import hashlib

import numpy as np

from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Interactions
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.privacy.disclosure import PRIVATE, PUBLIC
from fedrec.run.job import Job


@CONTROLS.register("random")
def random_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Scores drawn by name."""
    del progress
    scorer = random_scorer(job.experiment.seed, job.prepared.train.num_items)
    return Control(evaluator.test(scorer), "scores at random", PUBLIC)


@CONTROLS.register("popularity")
def popularity_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """How often training users touched each item."""
    del progress
    test = evaluator.test(popularity_scorer(job.prepared.train))
    return Control(test, "training counts, central, no privacy", PRIVATE)


@CONTROLS.register("popularity_odds")
def popularity_odds_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """How much likelier each item is clicked than one at random."""
    del progress
    test = evaluator.test(popularity_odds_scorer(job.prepared.train, job.prepared.platforms))
    return Control(test, "log odds of training counts, central, no privacy", PRIVATE)


def random_scorer(seed: int, num_items: int) -> Scorer:
    """Return a scorer that draws a uniform score for every item.

    The draw is named by the content of the history, so a user's scores depend on neither the batch nor
    the order of users; two users with the same history get the same scores.
    """

    def score(queries: Queries) -> Scores:
        scores = np.empty((len(queries), num_items), dtype=np.float32)
        for row, history in zip(scores, queries.histories, strict=True):
            name = hashlib.sha256(history.astype("<i8").tobytes()).hexdigest()
            row[:] = rng_for(seed, "random control", name).random(num_items, dtype=np.float32)
        return scores

    return score


def popularity_scorer(train: Interactions) -> Scorer:
    """Return a scorer that gives every user the number of training interactions of each item."""
    counts = np.bincount(train.item, minlength=train.num_items).astype(np.float32)

    def score(queries: Queries) -> Scores:
        return np.tile(counts, (len(queries), 1))

    return score


def popularity_odds_scorer(train: Interactions, platforms: Platforms) -> Scorer:
    """Return a scorer that gives every user `log((count + 1) / mean)` of each item, the mean being of its platform.

    It is the logarithm of how much likelier a click is on this item than on one drawn at random, by training counts
    alone, with one added to each so that an item that nobody touched has finite odds.
    """
    seen = np.bincount(train.item, minlength=train.num_items) + 1.0
    own = np.split(seen, platforms.items[1:-1])
    odds = np.concatenate([np.log(counts / counts.mean()) for counts in own]).astype(np.float32)

    def score(queries: Queries) -> Scores:
        return np.tile(odds, (len(queries), 1))

    return score
