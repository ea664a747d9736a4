"""SASRec (Kang & McAuley 2018): the transformer over a table of free item vectors, with no text.

Federated, the table travels with the rest; with an adapter other than `full` the transformer stays as its base and
`adapter.item_delta` says whether the table is trained. A user that nobody trained on is served by its history, as ever.
"""

from dataclasses import replace
from typing import ClassVar

import torch
from torch import nn

from fedrec.experiment.config import ModelConfig
from fedrec.models.recommender import MODELS, ModelInputs
from fedrec.models.text_transformer import TextTransformer


@MODELS.register("sasrec")
class SASRec(TextTransformer):
    """`text_transformer` without the text: its `item_delta` is all that there is of an item, beside the `item_bias`.

    Args:
        inputs: How many items.
        config: Sizes, and how much is dropped in training; the paper's are width 50, 2 layers, 1 head, dropout .2 and a
            window of 200 for MovieLens-1M, and dropout .5 and a window of 50 on sparse data.
        positions: As of `text_transformer`.
        logits: As of `text_transformer`.
        temperature: As of `text_transformer`.

    Raises:
        ConfigError: If an option is out of range.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    parts: tuple[str, ...] = ("item_bias", "item_delta")

    def __init__(
        self,
        inputs: ModelInputs,
        config: ModelConfig,
        positions: str = "absolute",
        logits: str = "dot",
        temperature: float = 0.07,
    ) -> None:
        nothing = replace(inputs, item_vectors=torch.zeros(inputs.num_items, 1), query_vectors=None)
        super().__init__(nothing, config, positions=positions, logits=logits, temperature=temperature)
        self.item_projection = nn.Identity()

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator` as `text_transformer` does, and item vectors like them: normal 0.02."""
        super().reset_parameters_(generator)
        nn.init.normal_(self.item_delta.weight, std=0.02, generator=generator)
