"""A trained model as a scorer: batches of histories to scores of the whole catalogue."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray
from fedrec.evaluation.ranking import Scorer
from fedrec.models.backbone import Backbone


def model_scorer(model: Backbone) -> Scorer:
    """Return the scorer of the model as it is now; histories have at least one item and are cut to its window."""

    def score(histories: Sequence[IntArray]) -> NDArray[np.float32]:
        cuts = [history[-model.window :] for history in histories]
        lengths = [len(cut) for cut in cuts]
        padded = np.zeros((len(cuts), max(lengths)), dtype=np.int64)
        for row, cut in zip(padded, cuts, strict=True):
            row[: len(cut)] = cut
        with torch.inference_mode():
            hidden = model.last_hidden(torch.from_numpy(padded), torch.tensor(lengths))
            scores: NDArray[np.float32] = model.score_all(hidden).numpy()
        return scores

    return score


def finite(scorer: Scorer) -> Scorer:
    """Return a scorer that ranks by whatever is finite: no error then tells whose history made a score overflow."""

    def score(histories: Sequence[IntArray]) -> NDArray[np.float32]:
        return np.nan_to_num(scorer(histories))

    return score
