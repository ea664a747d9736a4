"""The layers of a language model as a module: what transformers built, called without its mask-making.

Masks are made here, because transformers chooses among ways to make them by looking at the data, which no gradient of
many clients at once (`torch.func.vmap`) can go through.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fedrec.core.errors import ConfigError
from fedrec.text.body import Body

UNWANTED = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""Dropout follows from named draws here, or from nothing."""


class Layers(nn.Module):
    """The embeddings and the first layers of a BERT (Devlin et al. 2019); its pooler is left out.

    Args:
        body: Whose layers.
        count: How many, at least one.
        words: Whether it reads words; without them the table of words, most of a small model's numbers, is left out.

    Raises:
        ConfigError: If the body has fewer layers.
    """

    def __init__(self, body: Body, count: int, *, words: bool) -> None:
        super().__init__()
        shape: Mapping[str, Any] = body.shape
        if count > shape["num_hidden_layers"]:
            message = f"model.layers = {count}: the language model has {shape['num_hidden_layers']}; lower it"
            raise ConfigError(message)
        from transformers import BertConfig, BertModel  # slow to import

        config = BertConfig.from_dict({**shape, **UNWANTED, "num_hidden_layers": count})
        config._attn_implementation = "eager"  # noqa: SLF001 - transformers has no other way to say so here
        with torch.random.fork_rng([]):  # its own first weights are overwritten, and move nobody's draws
            made = BertModel(config, add_pooling_layer=False)
        if not words:
            made.set_input_embeddings(None)  # type: ignore[no-untyped-call]
        self.embeddings, self.layer = made.embeddings, made.encoder.layer
        self.positions = int(config.max_position_embeddings)
        self.width = int(config.hidden_size)

    def load_(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the encoder's weights, of which there may be more, into the layers."""
        own = {name.removeprefix("encoder."): value for name, value in weights.items()}
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(own[name])

    def forward(
        self,
        *,
        mask: Bool[Tensor, "batch length length"],
        places: Int[Tensor, "batch length"],
        kinds: Int[Tensor, "batch length"] | None = None,
        words: Int[Tensor, "batch length"] | None = None,
        embedded: Float[Tensor, "batch length width"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Return the hidden states.

        Args:
            mask: Which positions each position sees, at least one.
            places: Number of each position.
            kinds: Of which of two texts each position is; of the first by default.
            words: Tokens to be read, or
            embedded: what stands in for their vectors.
        """
        hidden: Tensor = self.embeddings(
            input_ids=words,
            inputs_embeds=embedded,
            position_ids=places,
            token_type_ids=torch.zeros_like(places) if kinds is None else kinds,
        )
        hidden_from = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(~mask, -math.inf)
        for layer in self.layer:
            hidden = layer(hidden, hidden_from.unsqueeze(1))
        return hidden
