"""What the items' texts alone say, without any training: the items whose vectors are nearest to the history's.

The zero-shot recommender of language-model vectors, as `text.whitening` makes them.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.core.progress import Progress
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, item_vectors_for
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.linear.histories import decayed_histories
from fedrec.privacy.disclosure import PUBLIC
from fedrec.run.job import Job

DECAY = 10.0
"""Items after which an item of the history counts by 1/e; not tuned."""


@CONTROLS.register("text_nearest")
def text_nearest_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Cosine of item vectors with the fading mean of the history's.

    Raises:
        ConfigError: If the run's model reads no text, for then nothing was encoded.
    """
    del progress
    vectors = item_vectors_for("text_nearest", job)
    note = f"no training, item text alone, decay {DECAY:g}, whitening {job.experiment.text.whitening}"
    return Control(evaluator.test(text_nearest_scorer(vectors, DECAY)), note, PUBLIC)


def text_nearest_scorer(vectors: NDArray[np.float32], decay: float) -> Scorer:
    """Return a scorer by the cosine with `sum exp(-age / decay) v`, `v` an item's vector of length 1.

    Args:
        vectors: Item vectors, `[items, width]`, each of length 1 or 0. One of length 0 is as far from all as what has
            nothing to do with them.
        decay: Above 0, in items. An item's age is the number of items after it (see `decayed_histories`).

    Returns:
        The scorer; the length of a user's sum is left in, since it changes no order.
    """

    def score(queries: Queries) -> Scores:
        sums = decayed_histories(queries.histories, len(vectors), decay) @ vectors
        return np.asarray(sums @ vectors.T, dtype=np.float32)

    return score
