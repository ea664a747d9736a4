"""Does a recommender last? Test users before a moment and from it on, judged alike.

In each period a user's interactions are cut as always, and what came before the period is history, too. With
`split.until` at the same moment nothing of the later period was trained on; without it other users' later interactions
were, and what is told is how much harder the later period is.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from fedrec.data.split import ALWAYS
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.statistics.significance import bootstrap_interval, paired_test
from fedrec.metrics.evaluation import Evaluation, Scorer

BEFORE, AFTER = "before", "after"


def judge_periods(evaluator: Evaluator, scorer: Scorer, moment: int) -> dict[str, Any]:
    """Return how test users are served before and after a moment, by the headline, as JSON has it.

    Args:
        evaluator: Of the run.
        scorer: The run's recommender.
        moment: In the data's unit of time; what happens at it is after.

    Returns:
        `periods`: of each period with at least one user who has two interactions in it, its users, the headline's mean
        with its interval, and every metric. `same_users`: how much those who are in both gain from the first to the
        second (below 0 they lose), with its interval and the p-value of a paired test; their number alone if nobody is.
    """
    headline, (start, end) = evaluator.task.headline, ALWAYS
    found = {
        name: evaluator.test_period(scorer, headline.target, period)
        for name, period in {BEFORE: (start, moment), AFTER: (moment, end)}.items()
    }
    known = {name: evaluation for name, evaluation in found.items() if evaluation is not None}
    return {
        "target": headline.target,
        "metric": headline.metric,
        "periods": {
            name: {
                "users": len(evaluation.users),
                "score": asdict(bootstrap_interval(evaluation.per_user[headline.metric])),
                "metrics": evaluation.to_json(),
            }
            for name, evaluation in known.items()
        },
        "same_users": _same_users(known, headline.metric),
    }


def _same_users(found: Mapping[str, Evaluation], metric: str) -> dict[str, Any]:
    if len(found) < 2:
        return {"users": 0}
    before, after = found[BEFORE], found[AFTER]
    both, first, second = np.intersect1d(before.users, after.users, return_indices=True)
    if not len(both):
        return {"users": 0}
    was, now = before.per_user[metric][first], after.per_user[metric][second]
    return {
        "users": len(both),
        "difference": asdict(bootstrap_interval(now - was)),
        "p_value": paired_test(now, was),
    }
