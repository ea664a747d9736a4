"""Plain text search: items by the similarity of their texts with the query, whoever asks."""

import numpy as np
from numpy.typing import NDArray

from fedrec.core.progress import Progress
from fedrec.data.split import Queries
from fedrec.evaluation.controls.base import CONTROLS, Control, item_vectors_for
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.privacy.disclosure import PUBLIC
from fedrec.run.job import Job


@CONTROLS.register("text_match")
def text_match_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Cosine of the query's vector with the items', both as `text.whitening` makes them.

    Raises:
        ConfigError: If the run's model reads no text, for then nothing was encoded.
    """
    del progress
    vectors = item_vectors_for("text_match", job)
    note = f"cosine of the texts of query and item, no training, no history, whitening {job.experiment.text.whitening}"
    return Control(evaluator.test(text_match_scorer(vectors)), note, PUBLIC)


def text_match_scorer(vectors: NDArray[np.float32]) -> Scorer:
    """Return a scorer by the cosine of what is asked with each item's vector, both of length 1 or 0.

    Args:
        vectors: Item vectors, `[items, width]`.
    """

    def score(queries: Queries) -> Scores:
        if queries.asked is None:
            return np.zeros((len(queries), len(vectors)), dtype=np.float32)
        return np.asarray(queries.asked @ vectors.T, dtype=np.float32)

    return score
