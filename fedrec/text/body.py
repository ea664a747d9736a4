"""A language model's own body, to be trained on: its configuration, and its weights until a base has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import TextConfig
from fedrec.text.encoder import load_encoder

KNOWN_TYPES = ("bert",)
"""Values of "model_type" whose layers `fedrec.models.language_model.layers` calls as they want to be called."""


@dataclass(frozen=True, eq=False)
class Body:
    """What a model with a language model's layers is built from.

    Attributes:
        shape: The transformers configuration, as its `config.json` has it.
        weights: Of the whole encoder, by transformers' names; none where a base has them.
    """

    shape: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the shape as text; weights travel in the base."""
        return json.dumps(self.shape, indent=1)


STAND_IN = Body(
    {
        "model_type": "bert",
        "vocab_size": 8,
        "hidden_size": 384,
        "num_attention_heads": 12,
        "num_hidden_layers": 99,
        "intermediate_size": 384,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    }
)
"""A body of the default encoder's width: what an experiment is tried on before its own encoder is at hand."""


def read_body(config: TextConfig, folder: Path) -> Body:
    """Return the body of the encoder in a folder, all of its layers, with its weights in single precision.

    Raises:
        ConfigError: If there is none that transformers can load whole, or it is of a kind whose layers are not known.
    """
    _, model = load_encoder(config.model_copy(update={"layers": None, "precision": "float32"}), folder)
    kind = model.config.model_type
    if kind not in KNOWN_TYPES:
        message = (
            f"text.encoder: the body of {folder.name} is of the type {kind!r}, and those that can be trained are "
            f"{', '.join(KNOWN_TYPES)}; choose another encoder, or a model that reads its vectors alone"
        )
        raise ConfigError(message)
    shape = {**model.config.to_diff_dict(), "model_type": kind}
    return Body(shape, model.state_dict())
