"""What a run's model reads of text, computed before any training: vectors of items and of queries for them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.files import replacing, write_whole
from fedrec.core.progress import Progress
from fedrec.data.interactions import Catalogue, IntArray
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import needs_of
from fedrec.tasks import Task
from fedrec.text.body import Body, read_body
from fedrec.text.encoder import encode_items
from fedrec.text.tokens import Tokens, tokenise
from fedrec.text.whitening import further_vectors, item_vectors

TOKENS = "tokens.safetensors"


@dataclass(frozen=True, eq=False)
class TextInputs:
    """What a model is built from beside the number of items and users.

    Attributes:
        item_vectors: As of `fedrec.models.recommender.ModelInputs`.
        query_vectors: Likewise.
        body: Likewise.
        tokens: Likewise.
    """

    item_vectors: Tensor | None = None
    query_vectors: Tensor | None = None
    body: Body | None = None
    tokens: Tokens | None = None

    def write(self, folder: Path) -> None:
        """Write what there is, but for the body's weights, which are the base's."""
        for name, rows in (("item_vectors", self.item_vectors), ("query_vectors", self.query_vectors)):
            if rows is not None:
                with replacing(folder / f"{name}.npy") as file:
                    np.save(file, rows.numpy())
        if self.body is not None:
            write_whole(folder / "body.json", self.body.to_json())
        if self.tokens is not None:
            self.tokens.write(folder / TOKENS)

    @classmethod
    def open(cls, folder: Path) -> "TextInputs":
        """Return what `write` wrote."""

        def vectors(name: str) -> Tensor | None:
            path = folder / f"{name}.npy"
            return torch.from_numpy(np.load(path)) if path.exists() else None

        shape = folder / "body.json"
        body = Body(json.loads(shape.read_text(encoding="utf-8"))) if shape.exists() else None
        tokens = Tokens.open(folder / TOKENS) if (folder / TOKENS).exists() else None
        return cls(vectors("item_vectors"), vectors("query_vectors"), body, tokens)


def text_inputs(  # noqa: PLR0913, PLR0917 - what is encoded, by what, and for whom
    experiment: Experiment,
    task: Task,
    catalogues: Sequence[Catalogue],
    bounds: IntArray,
    encoder: Path,
    cache: Path,
    progress: Progress,
) -> TextInputs:
    """Return the vectors of the items' texts, those of the task's queries in the same space, and what else is needed.

    Queries are made from the public catalogue alone. One without a word has a vector of zeros: nobody searches.

    Args:
        experiment: How text is encoded.
        task: What is learnt.
        catalogues: Of each platform.
        bounds: Item offsets of the platforms, `[platforms + 1]`.
        encoder: The encoder's folder.
        cache: Root of the cache.
        progress: Told of the work.
    """

    def encoded(texts: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        return np.concatenate([encode_items(own, experiment.text, encoder, cache, progress) for own in texts])

    needs, texts = needs_of(experiment), [own.texts for own in catalogues]
    found = TextInputs()
    if "body" in needs:
        found = replace(found, body=read_body(experiment.text, encoder))
    if "tokens" in needs:
        titles, every = ([text for own in of for text in own] for of in ([own.titles for own in catalogues], texts))
        found = replace(found, tokens=tokenise(titles, every, experiment.text, encoder))
    if "text" not in needs:
        return found
    raw = encoded(texts)
    found = replace(found, item_vectors=torch.from_numpy(item_vectors(raw, experiment.text, bounds)))
    queries = [task.query_texts(own) for own in catalogues]
    if not any(queries):
        return found
    owner = np.repeat(np.arange(len(queries)), [len(own) for own in queries])
    asked = further_vectors(encoded(queries), owner, raw, experiment.text, bounds)
    asked[[not text for own in queries for text in own]] = 0.0
    return replace(found, query_vectors=torch.from_numpy(asked))
