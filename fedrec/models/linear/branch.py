"""A linear recommender beside the model: an item's score grows with the items of the history that it goes with.

`score = model's score + gain * sum over the history of exp(-age / decay) * weights[item]`, where the age of the last
item is 0. The weights are EASE's (Steck 2019), the decay is that of sequential neighbourhood models (SLIST, Choi et al.
2021, equation 13). Gain and weights stand beside the parameters of a finished recommender, under names of their own.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.split import Queries
from fedrec.experiment.config import Experiment
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.adapters import load_parameters_
from fedrec.models.linear.histories import decayed_histories
from fedrec.models.recommender import Recommender
from fedrec.models.scoring import model_scorer

GAIN = "linear_branch.gain"
"""A number: what the branch is multiplied by."""
WEIGHTS = "linear_branch.weights"
"""Those of each item of a history (rows) for each item's score (columns), `[items, items]`."""


def load_scorer_(model: Recommender, parameters: Mapping[str, Tensor], experiment: Experiment) -> Scorer:
    """Load parameters into a model and return its scorer, with the linear branch if they have one."""
    load_parameters_(model, without_branch(parameters))
    if WEIGHTS not in parameters:
        return model_scorer(model)
    return with_branch(model_scorer(model), parameters, experiment.linear.decay)


def without_branch(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what is the model's own."""
    return {name: value for name, value in parameters.items() if name not in {GAIN, WEIGHTS}}


def with_branch(scorer: Scorer, branch: Mapping[str, Tensor], decay: float) -> Scorer:
    """Return the sum of a scorer and of a linear branch."""
    gain, weights = branch[GAIN].item(), branch[WEIGHTS].numpy()

    def score(queries: Queries) -> Scores:
        faded = decayed_histories(queries.histories, len(weights), decay).astype(np.float32)
        added: NDArray[np.float32] = faded @ weights
        return np.asarray(scorer(queries) + np.float32(gain) * added)

    return score
