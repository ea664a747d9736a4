"""What somebody types, as a finished run's recommender reads it: a vector on the axes of the run's item vectors.

The run has no encoder in its folder, so the one that it was made with is looked for where it was, and known by its
hash. What is typed goes to no cache.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import RunError
from fedrec.core.places import default_cache
from fedrec.core.progress import silent
from fedrec.run.job import Job
from fedrec.text.encoder import encode_items, encode_texts, weights_sha256
from fedrec.text.locate import locate_encoder
from fedrec.text.whitening import further_vectors


@dataclass(frozen=True, eq=False)
class TypedQueries:
    """Reads texts for one run."""

    job: Job

    def vector(self, text: str, platform: int) -> NDArray[np.float32]:
        """Return the vector of a text that a platform's items are searched with, `[width]`.

        Raises:
            RunError: If the run knows no queries, or its encoder is another by now.
            AcquireError: If the encoder can be had nowhere.
        """
        if self.job.prepared.text.query_vectors is None:
            message = f"{self.job.folder} was not trained to search; run an experiment with task.name = 'search'"
            raise RunError(message)
        config, bounds = self.job.experiment.text, self.job.prepared.platforms.items
        raw = encode_texts([text], config, self._encoder, silent)
        found: NDArray[np.float32] = further_vectors(raw, np.array([platform]), self._items, config, bounds)[0]
        return found

    @cached_property
    def _encoder(self) -> Path:
        job = self.job
        found = locate_encoder(job.experiment.text.encoder, default_cache(), lambda _: None)
        if weights_sha256(found) != job.prepared.facts["encoder_sha256"]:
            message = f"{found} is not the encoder that {job.folder} was made with; put that one there"
            raise RunError(message)
        return found

    @cached_property
    def _items(self) -> NDArray[np.float32]:
        """The encoder's vectors of the items, from the cache where it has them."""
        prepared, config = self.job.prepared, self.job.experiment.text
        texts, bounds = list(prepared.catalogue.texts), prepared.platforms.items
        parts = [texts[first:last] for first, last in pairwise(bounds.tolist())]
        return np.concatenate([encode_items(own, config, self._encoder, default_cache()) for own in parts])
