"""How well clients serve their own users, on the later items that were kept from training (`split.later`).

Held-out users judge what travels. What stays with a client, only its own users can judge: private parameters, parts of
scope `client`, and what a client rule makes of the arrays that it keeps (`Rule.personal`). The same users are also
served by the part that travels alone, as if nobody had trained on them, and by controls fitted on training rows. All
of it looks at private users without privacy: it is for a simulation's eyes, and picks nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.split import Queries
from fedrec.evaluation.controls.linear.ease import ease_scorer
from fedrec.evaluation.controls.uninformed import popularity_scorer
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.statistics.significance import bootstrap_interval, compare
from fedrec.metrics.evaluation import Evaluation, Scorer, Scores
from fedrec.models.adapters import load_parameters_
from fedrec.models.scoring import model_scores
from fedrec.run.client_store import ClientStore
from fedrec.run.job import Job
from fedrec.tasks import Task
from fedrec.training.rules.base import Rule

MOST_CLIENTS = 1000
"""Clients whose users are asked, drawn by name where there are more."""

FITTED: Mapping[str, Callable[[Interactions], Scorer]] = {"popularity": popularity_scorer, "ease": ease_scorer}
"""Controls that are asked of the same users, where the run has them among its controls."""


@dataclass(frozen=True, eq=False)
class LaterItems:
    """How clients' own users are served.

    Attributes:
        clients: How many clients were asked.
        of_clients: How many could have been: they took part, if clients keep anything, and have users with later items.
        found: Recommender -> evaluation of the same users: "personal", if clients keep anything; "shared", the part
            that travels alone; and the `FITTED` controls.
    """

    clients: int
    of_clients: int
    found: dict[str, Evaluation]

    def told(self, task: Task) -> dict[str, Any]:
        """Return what the summary says: means, intervals over users, Holm-corrected paired tests against the first."""
        metric, (first, *others) = task.headline.metric, self.found
        values = {name: evaluation.per_user[metric] for name, evaluation in self.found.items()}
        tests = compare(values[first], {name: values[name] for name in others})
        return {
            "clients": self.clients,
            "of_clients": self.of_clients,
            "against": first,
            "recommenders": {
                name: {
                    "metrics": evaluation.to_json(),
                    "intervals": {of: _bounds(evaluation, of) for of in task.shown if of in evaluation.per_user},
                    "p_value": tests[name].p_holm if name in tests else None,
                }
                for name, evaluation in self.found.items()
            },
        }


def judge_later_items(  # noqa: PLR0913, PLR0917 - what the evaluation is of
    job: Job, evaluator: Evaluator, adapter: Mapping[str, Tensor], rule: Rule, last_round: int, progress: Progress
) -> LaterItems | None:
    """Return how clients serve their own users at the end of a run; None if no client has anybody to ask.

    Args:
        job: The run.
        evaluator: Of the run.
        adapter: The finished adapter.
        rule: The clients' rule.
        last_round: What clients kept after it, or before, is what they have.
        progress: Told of the work.
    """
    clients = _Clients(job, evaluator, adapter, rule, last_round)
    able = clients.able()
    if not len(able):
        return None
    chosen = able
    if len(able) > MOST_CLIENTS:
        drawn = rng_for(job.experiment.seed, "later items").permutation(len(able))[:MOST_CLIENTS]
        chosen = np.sort(able[drawn])
    users = np.sort(np.concatenate([job.prepared.federation.users[client] for client in chosen.tolist()]))
    scorers: dict[str, Callable[[], Scorer]] = {"personal": lambda: clients.score} if clients.keep else {}
    scorers["shared"] = lambda: evaluator.scorer(adapter)
    for name in evaluator.task.asked_controls:
        if name in FITTED:
            scorers[name] = partial(FITTED[name], job.prepared.train)
    found = {}
    for number, (name, scorer) in enumerate(scorers.items()):
        progress("later items", number, len(scorers), name)
        found[name] = evaluator.later(scorer(), users)
    progress("later items", len(scorers), len(scorers))
    return LaterItems(len(chosen), len(able), found)


class _Clients:
    """The clients of a finished run, each with its own parameters.

    Args:
        job: The run.
        evaluator: Of the run.
        adapter: The finished adapter.
        rule: The clients' rule.
        last_round: The last finished round.
    """

    def __init__(
        self, job: Job, evaluator: Evaluator, adapter: Mapping[str, Tensor], rule: Rule, last_round: int
    ) -> None:
        self.context, self.adapter, self.rule, self.before = evaluator.context, adapter, rule, last_round + 1
        self.split, users = job.prepared.split, job.prepared.federation.users
        self.private = ClientStore.of(job)
        self.of_rule = self.private.of_rule(rule, self.context.shared_start)
        self.owner, self.place = (np.full(self.split.train.num_users, -1, dtype=np.int64) for _ in range(2))
        self.owner[users.values] = np.repeat(np.arange(len(users)), users.lengths)
        self.place[users.values] = np.arange(len(users.values)) - np.repeat(users.bounds[:-1], users.lengths)

    @property
    def keep(self) -> bool:
        """Whether clients have anything of their own that scores depend on."""
        return bool(self.context.private_names) or type(self.rule).personal is not Rule.personal

    def able(self) -> IntArray:
        """Return the clients with later items of their users; where clients keep anything, those that ever did."""
        users = np.flatnonzero(self.owner >= 0)
        clients = np.unique(self.owner[users[self.split.held_out.lengths_of(users) > 0]])
        if not self.keep:
            return clients
        took_part = self.private.kept_any(clients.tolist(), self.before)
        if self.of_rule is not None:
            took_part |= self.of_rule.kept_any(clients.tolist(), self.before)
        return clients[took_part]

    def score(self, queries: Queries) -> Scores:
        """Return the scores of all items for clients' users, each by its own client."""
        scores = np.empty((len(queries), self.split.train.num_items), dtype=np.float32)
        for client in np.unique(self.owner[queries.users]).tolist():
            load_parameters_(self.context.model, self.parameters(client))
            rows = np.flatnonzero(self.owner[queries.users] == client).tolist()
            own = queries.at(rows)
            scores[rows] = model_scores(self.context.model, own, self.place[own.users])
        return scores

    def parameters(self, client: int) -> dict[str, Tensor]:
        """Return what one client scores with.

        Raises:
            RunError: If what it kept is not what was written.
        """
        kept = {} if self.of_rule is None else self.of_rule.recall([client], self.before)
        sent = {name: value[None] for name, value in self.adapter.items()}
        used = {**self.rule.personal(sent, kept), **self.private.recall([client], self.before)}
        return {name: value[0] for name, value in used.items()}


def _bounds(evaluation: Evaluation, metric: str) -> list[float]:
    found = bootstrap_interval(evaluation.per_user[metric])
    return [found.low, found.high]
