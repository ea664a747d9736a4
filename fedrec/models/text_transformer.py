"""The default recommender: frozen item vectors, an item projection, a small causal transformer over the history.

Kang & McAuley 2018 (SASRec) with text item vectors (UniSRec, Hou et al. 2022) and a full softmax (Klenitskiy &
Vasilev 2023). All of it is matmuls and softmaxes of plain Linear layers, so that Opacus' hooks, PEFT and `torch.func`
all see it; `fedrec.models.transformer` has the parts.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.recommender import MODELS, ModelInputs, Recommender
from fedrec.models.transformer.block import Block
from fedrec.models.transformer.dropout import dropped
from fedrec.models.transformer.item_projection import HiddenProjection
from fedrec.models.transformer.positions import POSITIONS
from fedrec.models.transformer.text_skip import TextSkip

BIAS_SCALE = 10.0
"""What one unit of an item's bias adds to its score: popularity, whose gradient is spread thinly over all items, is
then learnt at the pace of the rest, under one learning rate and one clip norm."""

QUERY_SCALE = 1 / 0.07
"""What a query whose text is the item's adds to its score at the start: the inverse of CLIP's first temperature
(Radford et al. 2021, section 2.5)."""

PROJECTIONS = {"linear": nn.Linear, "hidden": HiddenProjection}
LOGITS = ("dot", "cosine")


@MODELS.register("text_transformer")
class TextTransformer(Recommender):
    """Scores items after every position of a history; it knows no users.

    Its parts are the `item_projection` from item vectors to the model's width; the `item_delta`, a free vector an item;
    and the `item_bias`, a free score per item. The latter two are 0 at the start, and so is the gain of a `text_skip`.
    Where users search, the `query_projection` `W` adds `v' W q` to the score of an item with vector `v` for a query of
    vector `q`: history and query speak for themselves, and their odds multiply. At the start `W` is the identity times
    `QUERY_SCALE`, the similarity of the texts.

    Args:
        inputs: The items, with their vectors.
        config: Sizes, and how much is dropped in training.
        projection: The item projection: "linear", or with a hidden layer beside it ("hidden").
        positions: What attention knows of order: a vector a position ("absolute"), or the distance alone ("alibi").
        logits: An item's score before its bias: the product of its embedding and the hidden state ("dot"), or the
            cosine of both over the temperature ("cosine"; UniSRec, equation 8).
        temperature: Above 0; read with cosines only.
        text_skip: Items after which an item of the history counts 1 / e of what the last one does where the likeness of
            its text is added to the score (see `fedrec.models.transformer.text_skip`); 0 adds none.

    Raises:
        ConfigError: If an option is out of range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text"})
    has_dropout: ClassVar[bool] = True
    parts: tuple[str, ...] = ("item_projection", "item_bias", "item_delta")
    item_vectors: Tensor
    query_vectors: Tensor

    def __init__(  # noqa: PLR0913, PLR0917 (each option of a recommender is one of its arguments)
        self,
        inputs: ModelInputs,
        config: ModelConfig,
        projection: str = "linear",
        positions: str = "absolute",
        logits: str = "dot",
        temperature: float = 0.07,
        text_skip: float = 0.0,
    ) -> None:
        super().__init__()
        _require_options(projection, positions, logits, temperature)
        _require_decay(text_skip)
        item_vectors = inputs.item_vectors
        if item_vectors is None:
            message = "the model text_transformer reads item vectors, and got none"
            raise ConfigError(message)
        num_items, dimensions = item_vectors.shape
        self.window, self.num_items = config.window, num_items
        self.register_buffer("item_vectors", item_vectors, persistent=False)
        self.item_projection = PROJECTIONS[projection](dimensions, config.width)
        if inputs.query_vectors is not None:
            self.register_buffer("query_vectors", inputs.query_vectors, persistent=False)
            self.query_projection = nn.Linear(dimensions, dimensions, bias=False)
            self.parts, self.reads = (*self.parts, "query_projection"), frozenset({"query"})
        self.item_delta = nn.Embedding(num_items, config.width)
        self.item_bias = nn.Embedding(num_items, 1)
        self.bias_scale = BIAS_SCALE
        relative = positions == "alibi"
        self.position = None if relative else nn.Embedding(config.window, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.window, relative=relative, dropout=config.dropout, place=place)
            for place in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.dropout, self.temperature = config.dropout, temperature if logits == "cosine" else None
        self.text_skip = TextSkip(config.window, text_skip) if text_skip else None
        if self.text_skip is not None:
            self.parts = (*self.parts, "text_skip")

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`: normal 0.02, biases 0, norms 1; item delta and bias start at 0.

        What follows the hidden layer of an item projection is 0, too: such a projection starts as the linear one.
        """
        for name, parameter in self.named_parameters():
            owner = name.rsplit(".", 2)[-2]
            if "norm" in owner.lower() and name.endswith("weight"):
                nn.init.ones_(parameter)
            elif owner == "query_projection":
                nn.init.eye_(parameter).data.mul_(QUERY_SCALE)
            elif name.endswith("bias") or owner in {"item_delta", "item_bias", "outer", "gain"}:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.02, generator=generator)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Int[Tensor, "batch candidates"] | None = None,
        shared: Int[Tensor, " shared"] | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position; causal attention never looks at the padding."""
        history = batch["history"]
        if candidates is not None:
            return self._score_candidates(batch, candidates, shared)
        scored = items or range(self.num_items)
        everything = torch.arange(scored.start, scored.stop, device=history.device)
        copies = everything.expand(len(history), -1) if self.per_example else everything
        embedded = self._embed(copies if self._embedding_is_trained() else everything)
        own = _rows(embedded, history, scored, whole=len(scored) == self.num_items)
        hidden = self._encode(own, batch.get("dropout"))
        scores = self._match(hidden, embedded) + self._bias(copies).unsqueeze(-2)
        return self._add_text(scores, self._text(batch), everything)

    def _score_candidates(self, batch: Mapping[str, Tensor], candidates: Tensor, shared: Tensor | None) -> Tensor:
        history = batch["history"]
        if shared is not None and self.per_example:
            candidates, shared = torch.cat((candidates, shared.expand(len(history), -1)), dim=1), None
        length = history.shape[1]
        both = self._embed(torch.cat((history, candidates), dim=1))
        hidden, items = self._encode(both[:, :length], batch.get("dropout")), both[:, length:]
        text = self._text(batch)
        scores = self._add_text(self._match(hidden, items) + self._bias(candidates)[:, None, :], text, candidates)
        if shared is None:
            return scores
        # One embedding for the whole batch: a copy per example would need batch times the memory.
        of_shared = self._match(hidden, self._embed(shared)) + self._bias(shared)
        return torch.cat((scores, self._add_text(of_shared, text, shared)), dim=2)

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items after each history's last item."""
        history = batch["history"]
        last = torch.arange(len(history), device=history.device), batch["length"] - 1
        hidden = self._encode(self._embed(history))[last]
        everything = torch.arange(self.num_items, device=history.device)
        scores = self._match(hidden, self._embed(everything)) + self._bias(everything)
        return self._add_text(scores, self._text(batch, last), everything)

    def _text(
        self, batch: Mapping[str, Tensor], places: tuple[Tensor, Tensor] | None = None
    ) -> Float[Tensor, "batch *length dimensions"] | None:
        """Return what item vectors are multiplied by: for the history's text, and for what is searched for.

        Args:
            batch: As of a model.
            places: Of the history, where it is asked; all of it by default.

        Returns:
            None without either.
        """
        found: Tensor | None = None
        if self.text_skip is not None:
            history = batch["history"]
            found = self.text_skip(self.item_vectors[history], history)
            found = found if places is None else found[places]
        if "query" in batch:
            wanted: Tensor = self.query_projection(batch["query"])
            found = wanted if found is None else found + wanted
        return found

    def _add_text(self, scores: Tensor, text: Tensor | None, items: Tensor) -> Tensor:
        """Return the scores of items, `[..., items]`, and what their text adds to them."""
        return scores if text is None else scores + text @ self.item_vectors[items].mT

    def _embedding_is_trained(self) -> bool:
        return any(
            parameter.requires_grad
            for part in (self.item_projection, self.item_delta)
            for parameter in part.parameters()
        )

    def _embed(self, items: Tensor) -> Tensor:
        embedded: Tensor = self.item_projection(self.item_vectors[items]) + self.item_delta(items)
        return embedded

    def _bias(self, items: Tensor) -> Tensor:
        bias: Tensor = self.bias_scale * self.item_bias(items).squeeze(-1)
        return bias

    def _match(self, hidden: Tensor, items: Tensor) -> Tensor:
        """Return how well embedded items, `[..., items, width]`, fit hidden states, `[..., width]`."""
        if self.temperature is None:
            return hidden @ items.mT
        return functional.normalize(hidden, dim=-1) @ functional.normalize(items, dim=-1).mT / self.temperature

    def _encode(
        self, embedded: Float[Tensor, "batch length width"], draws: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch length width"]:
        hidden = embedded
        if self.position is not None:
            places = torch.arange(embedded.shape[1], device=embedded.device)
            hidden = hidden + self.position(places.expand(embedded.shape[0], -1))
        if draws is not None:
            hidden = dropped(hidden, draws, 0, self.dropout)
        for block in self.blocks:
            hidden = block(hidden, draws)
        normed: Tensor = self.norm(hidden)
        return normed


def _require_options(projection: str, positions: str, logits: str, temperature: float) -> None:
    """Refuse options out of range.

    Raises:
        ConfigError: If one is.
    """
    for name, found, known in (
        ("projection", projection, PROJECTIONS),
        ("positions", positions, POSITIONS),
        ("logits", logits, LOGITS),
    ):
        if found not in known:
            message = f"model.options.{name} = {found!r}: should be one of {', '.join(known)}"
            raise ConfigError(message)
    if isinstance(temperature, bool | str) or not temperature > 0:
        message = f"model.options.temperature = {temperature!r}: should be above 0, around 0.07"
        raise ConfigError(message)


def _require_decay(text_skip: float) -> None:
    """Refuse a decay that fades nothing.

    Raises:
        ConfigError: If it is below 0, or no number.
    """
    if isinstance(text_skip, bool | str) or not text_skip >= 0:
        message = f"model.options.text_skip = {text_skip!r}: should be a number of items, around 10, or 0 for none"
        raise ConfigError(message)


def _rows(
    items: Tensor, history: Int[Tensor, "batch length"], scored: range, *, whole: bool
) -> Float[Tensor, "batch length width"]:
    """Return the history's rows of `items`, which is `[items, width]` or one copy per example.

    Args:
        items: Embedded items, all or a slice of them.
        history: Item indices; padding may lie outside of the slice, and its rows are never looked at.
        scored: Which items these are.
        whole: Whether they are all.
    """
    if not whole:
        history = (history - scored.start).clamp(0, len(scored) - 1)
    if items.dim() == 2:
        return items[history]
    return items.gather(1, history[:, :, None].expand(-1, -1, items.shape[2]))
