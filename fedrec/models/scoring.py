"""A trained model as a scorer: batches of users to scores of the whole catalogue."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.interactions import IntArray
from fedrec.data.split import Queries
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.recommender import Recommender, read_by


def model_scorer(model: Recommender) -> Scorer:
    """Return the scorer of the model as it is now, for users that nobody trained on.

    Histories have at least one item and are cut to the model's window.
    """
    return partial(model_scores, model)


def model_scores(model: Recommender, queries: Queries, places: IntArray | None = None) -> Scores:
    """Return the model's scores of all items, `[users, items]`.

    Args:
        model: The recommender as it is now.
        queries: The users, at least one.
        places: Where each of them is among its client's users, whose own parameters the model has; none for users that
            nobody trained on.
    """
    cuts = [history[-model.window :] for history in queries.histories]
    values = [value[-model.window :] for value in queries.values] or [
        np.ones(len(cut), dtype=np.float32) for cut in cuts
    ]
    batch = {
        "history": _padded(cuts, np.int64),
        "length": torch.tensor([len(cut) for cut in cuts]),
        "value": _padded(values, np.float32),
    }
    if queries.wanted:
        batch["wanted"] = _padded(queries.wanted, np.int64, repeat=True)
    if queries.asked is not None:
        batch["query"] = torch.from_numpy(queries.asked)
    if places is not None:
        batch["user"] = torch.from_numpy(places)
    with torch.inference_mode():
        scores: Scores = read_by(model, model.score(batch), queries.task).numpy()
    return scores


def finite(scorer: Scorer) -> Scorer:
    """Return a scorer that ranks by whatever is finite: no error then tells whose history made a score overflow."""

    def score(queries: Queries) -> Scores:
        return np.nan_to_num(scorer(queries))

    return score


def _padded(rows: Sequence[NDArray[Any]], kind: type[Any], *, repeat: bool = False) -> Tensor:
    """Return rows as one tensor, `[rows, longest]`, with zeros, or their last entry, behind the shorter ones."""
    padded = np.zeros((len(rows), max(len(row) for row in rows)), dtype=kind)
    for row, own in zip(padded, rows, strict=True):
        row[: len(own)] = own
        if repeat and len(own):
            row[len(own) :] = own[-1]
    return torch.from_numpy(padded)
