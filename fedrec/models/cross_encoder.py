"""The classic fine-tuned BERT: it reads what a user had and one item together, and tells how well they fit.

`[CLS] titles of the history [SEP] text of the item [SEP]`, the score being read from the first position (Devlin et al.
2019; of a document for a query Nogueira & Cho 2019). Every word of one attends to every word of the other, which
separate vectors cannot do; in return each pair of a user and an item takes a pass of its own, so this is for tasks that
score few items a user: `rating`, and `click` with `negatives = "below"`.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import ModelConfig
from fedrec.models.language_model.layers import Layers
from fedrec.models.recommender import MODELS, ModelInputs, Recommender

TOGETHER = 64
"""Pairs that are read at once where no gradient is wanted."""


@MODELS.register("cross_encoder")
class CrossEncoder(Recommender):
    """Scores an item by reading its text behind the titles of a history; it knows no users.

    Its parts are the `score_head`, from the first position's hidden state to the score, and the `item_bias`, a free
    score an item, 0 at the start.

    Args:
        inputs: The items with their words, and the language model's body.
        config: `layers` says how many of the body's layers are kept, the first ones; `window` how many titles are read.
            `width` and `heads` are the body's own, whatever they say.

    Raises:
        ConfigError: If the body has fewer layers, or reads fewer tokens than a whole window has.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"body", "tokens"})
    reads_pairs: ClassVar[bool] = True
    parts: tuple[str, ...] = ("score_head", "item_bias")
    titles: Tensor
    texts: Tensor
    special: Tensor

    def __init__(self, inputs: ModelInputs, config: ModelConfig) -> None:
        super().__init__()
        if inputs.body is None or inputs.tokens is None:
            message = "the model cross_encoder reads words with a language model's body, and got none"
            raise ConfigError(message)
        self.window, self.num_items, self._pretrained = config.window, inputs.num_items, inputs.body.weights
        self.body = Layers(inputs.body, config.layers, words=True)
        for name, tokens in vars(inputs.tokens).items():
            self.register_buffer(name, tokens, persistent=False)
        tokens = _require_room(config.window, self.titles.shape[1], self.texts.shape[1], self.body.positions)
        self.position_cost = tokens * -(-self.body.width // config.width)
        self.score_head = nn.Linear(self.body.width, 1)
        self.item_bias = nn.Embedding(inputs.num_items, 1)

    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`: normal 0.02, biases 0, norms 1; the body's own, where they are given."""
        for name, parameter in self.named_parameters():
            if "LayerNorm" in name and name.endswith("weight"):
                nn.init.ones_(parameter)
            elif name.endswith("bias") or name.startswith("item_bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=0.02, generator=generator)
        if self._pretrained:
            self.body.load_(self._pretrained)

    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Int[Tensor, "batch candidates"] | None = None,
        shared: Int[Tensor, " shared"] | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position: `length * scores` passes an example."""
        asked, length = self.asked_items(batch, candidates, shared, items), batch["history"].shape[1]
        columns = [self.pairs(batch, one.unsqueeze(1).expand(-1, length)) for one in asked.unbind(dim=1)]
        return torch.stack(columns, dim=-1)

    def pairs(self, batch: Mapping[str, Tensor], items: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
        """Return the score of one item after each position: a pass each."""
        history = batch["history"]
        length = history.shape[1]
        ends = torch.arange(1, length + 1, device=history.device)
        if self.per_example:  # the first axis must stay that of the examples
            whole = [self._read(history, end.expand(len(history)), items[:, end - 1]) for end in ends]
            return torch.stack(whole, dim=1)
        many = history.repeat_interleave(length, dim=0)
        found = self._read(many, ends.repeat(len(history)), items.reshape(-1))
        return found.view(history.shape)

    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of the items in "wanted", `[batch, wanted]`, or of all; what is not wanted scores 0."""
        history = batch["history"]
        everything = torch.arange(self.num_items, device=history.device).expand(len(history), -1)
        wanted = batch.get("wanted", everything)
        each = wanted.shape[1]
        found = self._read(
            history.repeat_interleave(each, dim=0), batch["length"].repeat_interleave(each), wanted.reshape(-1)
        ).view(wanted.shape)
        return found.new_zeros(len(history), self.num_items).scatter(1, wanted, found)

    def _read(
        self, history: Int[Tensor, "pairs length"], ends: Int[Tensor, " pairs"], items: Int[Tensor, " pairs"]
    ) -> Float[Tensor, " pairs"]:
        """Return the score of an item after the first `ends` items of a history, pair by pair."""
        if len(history) > TOGETHER and not torch.is_grad_enabled():
            parts = zip(*(torch.split(of, TOGETHER) for of in (history, ends, items)), strict=True)
            return torch.cat([self._read(*part) for part in parts])
        begin, end, padding = self.special
        titles, text = self.titles[history], self.texts[items]
        had = torch.arange(history.shape[1], device=history.device) < ends[:, None]
        shown = (had.unsqueeze(-1) & (titles != padding)).flatten(1)
        one, yes = torch.ones_like(items)[:, None], torch.ones_like(had[:, :1])
        words = torch.cat((begin * one, titles.flatten(1), end * one, text, end * one), dim=1)
        known = torch.cat((yes, shown, yes, text != padding, yes), dim=1)
        kinds = torch.cat(
            (torch.zeros_like(words[:, : shown.shape[1] + 2]), torch.ones_like(words[:, -text.shape[1] - 1 :])), dim=1
        )
        hidden = self.body(words=words, mask=_seen(known), places=_places(known), kinds=kinds)
        scores: Tensor = (self.score_head(hidden[:, 0]) + self.item_bias(items)).squeeze(-1)
        return scores


def _places(known: Bool[Tensor, "pairs tokens"]) -> Int[Tensor, "pairs tokens"]:
    """Return positions that count words alone: gaps between titles are none."""
    return (known.cumsum(dim=1) - 1).clamp(min=0)


def _seen(known: Bool[Tensor, "pairs tokens"]) -> Bool[Tensor, "pairs tokens tokens"]:
    return known.unsqueeze(1).expand(-1, known.shape[1], -1)


def _require_room(window: int, title: int, text: int, positions: int) -> int:
    """Return the tokens of a pair with a whole window.

    Raises:
        ConfigError: If the body reads fewer.
    """
    tokens = window * title + text + 3
    if tokens > positions:
        fits = max(1, (positions - text - 3) // title)
        message = (
            f"model.window = {window}: as many titles of up to {title} tokens, and a text of {text}, are {tokens}, "
            f"and the language model reads {positions}; lower it to {fits}, or text.max_tokens"
        )
        raise ConfigError(message)
    return tokens
