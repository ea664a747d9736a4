"""A recommender with a language model's own body as its sequence model: item vectors in the place of words.

The first layers of the encoder that the item vectors are of read a history, each position what came up to it; the table
of words is left out. Pretrained transformers serve other sequences than text with few of their numbers changed (Lu et
al. 2022), and a LoRA (`adapter.name = "lora"`, targets "query" and "value") trains and sends few numbers: 24,576 of 2
layers of MiniLM at rank 8, beside the item projection.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.language_model.layers import Layers
from fedrec.models.recommender import MODELS, ModelInputs
from fedrec.models.text_transformer import TextTransformer


@MODELS.register("lm_transformer")
class LmTransformer(TextTransformer):
    """Scores items as `text_transformer` does, with a language model's layers between item projection and scores.

    Args:
        inputs: The items, with their vectors, and the language model's body.
        config: `layers` says how many of the body's layers are kept, the first ones; `width` and `heads` are the body's
            own, whatever they say.
        projection: As of `text_transformer`.
        logits: Likewise.
        temperature: Likewise.

    Raises:
        ConfigError: If the body has fewer layers, or reads shorter histories than the window, or an option is out of
            range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "body"})
    has_dropout: ClassVar[bool] = False
    causal: Tensor

    def __init__(
        self,
        inputs: ModelInputs,
        config: ModelConfig,
        projection: str = "linear",
        logits: str = "dot",
        temperature: float = 0.07,
    ) -> None:
        if inputs.body is None:
            message = "the model lm_transformer reads a language model's body, and got none"
            raise ConfigError(message)
        layers = Layers(inputs.body, config.layers, words=False)
        if config.window > layers.positions:
            message = f"model.window = {config.window}: the language model reads {layers.positions} positions; lower it"
            raise ConfigError(message)
        # Its blocks are the body's, which has vectors of positions, too.
        own = config.model_copy(update={"width": layers.width, "layers": 0})
        super().__init__(inputs, own, projection, "alibi", logits, temperature)
        self.body, self._pretrained = layers, inputs.body.weights
        self.position_cost = -(-layers.width // config.width)
        seen = torch.ones(config.window, config.window, dtype=torch.bool).tril()
        self.register_buffer("causal", seen, persistent=False)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight as `text_transformer` does, then take the body's own, where they are given."""
        super().reset_parameters_(generator)
        if self._pretrained:
            self.body.load_(self._pretrained)

    def _encode(
        self, embedded: Float[Tensor, "batch length width"], draws: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch length width"]:
        del draws
        rows, length = embedded.shape[:2]
        places = torch.arange(length, device=embedded.device).expand(rows, -1)
        seen = self.causal[:length, :length].expand(rows, -1, -1)
        normed: Tensor = self.norm(self.body(mask=seen, places=places, embedded=embedded))
        return normed
