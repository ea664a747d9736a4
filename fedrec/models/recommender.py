"""What a recommender must offer to be trained, adapted, shared and judged here."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.core.seeding import torch_generator_for
from fedrec.experiment.config import Experiment, ModelConfig
from fedrec.text.body import Body
from fedrec.text.tokens import Tokens


class Scope(Enum):
    """Who shares a part of a recommender."""

    SHARED = "shared"
    """Everybody: it travels between clients and server."""
    PLATFORM = "platform"
    """The users of one platform: it stays with the client that is this platform."""
    CLIENT = "client"
    """One client: it is trained there and never leaves."""


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a recommender is built for.

    Attributes:
        num_items: Number of items.
        num_users: Most users that one client holds: rows of parameters that each user has of its own.
        item_vectors: Frozen vectors of the items' texts, `[num_items, dimensions]`; None for a model that does not
            need "text".
        query_vectors: Frozen vectors of the texts that items are searched with, in the same space, equally many for
            each item, in the items' order, `[items * each, dimensions]`; None where nobody searches.
        heads: In how many ways the scores are read (`Task.heads`).
        tokens: Words of the items, for a model that needs "tokens".
        body: The encoder itself, for a model that needs its "body": with its weights for a new base, which keeps them.
    """

    num_items: int
    num_users: int = 1
    item_vectors: Tensor | None = None
    query_vectors: Tensor | None = None
    body: Body | None = None
    tokens: Tokens | None = None
    heads: int = 0


class Recommender(nn.Module, ABC):
    """A recommender over a catalogue; register one in `MODELS`.

    A batch is tensors by name, as the task collates them, each with the examples along its first axis. Of every task's
    there are "history", item indices `[batch, length]`, right-padded with any item, at most `window` long; and, for
    users of the client whose parameters are loaded, "user", each one's place among them, `[batch]`. It is not there for
    users that nobody trained on. "dropout", `[batch]`, is a number that each example's dropout follows from; it is
    there in training alone, with `model.dropout`. "first", `[batch]`, is the first position with a target; it is there
    with `training.example = "later_half"`. "value" and "query" are there if the task gives them (`Task.gives`); the
    latter is the vector of the text that an example searches with, `[batch, length, dimensions]`, at each position for
    the item after it.

    Attributes:
        needs: What it is built from beside the number of items: "text" for item vectors, "body" for the encoder itself,
            "tokens" for the items' words. Nothing is encoded or stored that it does not need.
        scopes: Who shares each part, by the name of a direct child module; a part without an entry is shared.
        parts: Direct children that an adapter leaves alone and that the keys of the same names under `adapter` open.
        window: Longest history it reads.
        num_items: Number of items.
        reads: What of a batch its scores depend on beside "history", "user" and "dropout", by name. One that reads
            "query" has the buffer `query_vectors`, as of `ModelInputs`, in which tasks look queries up.
        reads_pairs: Whether each pair of a user and an item takes a pass of its own: too slow for a whole catalogue.
        position_cost: Positions of a transformer of the configured width that a position of an example takes: of those
            that are computed at once there are as many fewer.
        has_dropout: Whether it drops something in training (`model.dropout`).
        bias_scale: What one unit of `item_bias.weight`, if there is one, adds to an item's score.
        per_example: Set under Opacus' hooks, which take the first axis of every module's input as the example axis:
            what is trained must then see a copy of shared inputs for every example.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    scopes: ClassVar[Mapping[str, Scope]] = {}
    parts: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    reads_pairs: ClassVar[bool] = False
    position_cost: int = 1
    has_dropout: ClassVar[bool] = False
    window: int
    num_items: int
    bias_scale: float = 1.0
    per_example: bool = False

    @abstractmethod
    def reset_parameters_(self, generator: torch.Generator) -> None:
        """Draw every weight from `generator`."""

    @abstractmethod
    def forward(
        self,
        batch: Mapping[str, Tensor],
        candidates: Int[Tensor, "batch candidates"] | None = None,
        shared: Int[Tensor, " shared"] | None = None,
        items: range | None = None,
    ) -> Float[Tensor, "batch length scores"]:
        """Return scores after each position of the histories.

        Args:
            batch: As above.
            candidates: Items to score, each example its own, and then those of `shared`.
            shared: Items to score for every example, behind its candidates; read only with `candidates`.
            items: Without candidates, the items to score, in their order; all by default.
        """

    def asked_items(
        self,
        batch: Mapping[str, Tensor],
        candidates: Int[Tensor, "batch candidates"] | None,
        shared: Int[Tensor, " shared"] | None,
        items: range | None,
    ) -> Int[Tensor, "batch scores"]:
        """Return the items that `forward` is asked to score, a row for each example, in the order of the scores."""
        rows, device = len(batch["history"]), batch["history"].device
        if candidates is None:
            wanted = items or range(self.num_items)
            return torch.arange(wanted.start, wanted.stop, device=device).expand(rows, -1)
        return candidates if shared is None else torch.cat((candidates, shared.expand(rows, -1)), dim=1)

    def pairs(self, batch: Mapping[str, Tensor], items: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
        """Return the score of one item after each position, its own: all that some tasks learn from."""
        scores: Tensor = self(batch, items).diagonal(dim1=1, dim2=2)
        return scores

    @abstractmethod
    def score(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "batch items"]:
        """Return the scores of all items after each whole history.

        Args:
            batch: "history" and perhaps "user", as above; "length" `[batch]`, at least 1 each; "value", the rating
                or weight of each item of the history, `[batch, length]`, 0 behind its end; perhaps "query", the
                vector of the text that is searched with, `[batch, dimensions]`; and perhaps "wanted", the only items
                whose scores anybody reads, `[batch, wanted]`, some of them repeated.
        """

    def stays(self, name: str) -> bool:
        """Return whether the parameter of this name stays where it is trained."""
        return self.scopes.get(name.split(".", 1)[0], Scope.SHARED) is not Scope.SHARED


Build = Callable[[ModelInputs, ModelConfig], Recommender]

ITEM_BIAS = "item_bias.weight"
"""The parameter that popularity is added to, a number an item, where a model has one."""

JOINT = "joint"
"""The part with three numbers a task, where several read the scores: what is added to a scale of 1, a shift, and the
logarithm of the task's variance; all 0 at the start. Whatever the adapter, it is open."""

MODELS: Registry[Build] = Registry("model", group="fedrec.models")


def build_model(experiment: Experiment, inputs: ModelInputs) -> Recommender:
    """Return the configured model with weights drawn by name from the seed.

    Raises:
        ConfigError: If there is no such model, it does not take its options, or has no dropout and is asked for some.
    """
    kind, config = MODELS.get(experiment.model.name), experiment.model
    if config.dropout and not getattr(kind, "has_dropout", False):
        message = f"model.dropout = {config.dropout:g}: the model {config.name} has none; set it to 0"
        raise ConfigError(message)
    try:
        model = kind(inputs, config, **config.options)
    except TypeError as error:
        message = f"model.options do not fit {config.name}: {error}"
        raise ConfigError(message) from error
    model.reset_parameters_(torch_generator_for(experiment.seed, "base"))
    if inputs.heads:
        model.add_module(JOINT, nn.Embedding(inputs.heads, 3, _weight=torch.zeros(inputs.heads, 3)))
    return model


def keeps_parts(experiment: Experiment) -> bool:
    """Return whether a part of the configured model stays with its client, by its scope.

    Raises:
        ConfigError: If there is no such model.
    """
    scopes = getattr(MODELS.get(experiment.model.name), "scopes", {})
    return any(scope is not Scope.SHARED for scope in scopes.values())


def read_by(model: Recommender, scores: Tensor, task: int | None) -> Tensor:
    """Return scores as one of several tasks reads them, without a gradient; as they are for None, or without heads."""
    heads = dict(model.named_parameters()).get(f"{JOINT}.weight")
    if task is None or heads is None:
        return scores
    return scores * (1 + heads[task, 0]) + heads[task, 1]


class OfTask:
    """A recommender as one of several tasks sees it: each score times a scale plus a shift.

    Args:
        model: The recommender.
        numbers: What is added to a scale of 1, and the shift, of each example, `[batch, 2 or more]`.
    """

    def __init__(self, model: Recommender, numbers: Float[Tensor, "batch numbers"]) -> None:
        self.model, self.num_items = model, model.num_items
        self.gain, self.shift = 1 + numbers[:, 0], numbers[:, 1]

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the scores after each position, `[batch, length, scores]`."""
        scores: Tensor = self.model(*args, **kwargs)
        return scores * self.gain[:, None, None] + self.shift[:, None, None]

    def pairs(self, batch: Mapping[str, Tensor], items: Tensor) -> Tensor:
        """Return the score of one item after each position, `[batch, length]`."""
        return self.model.pairs(batch, items) * self.gain[:, None] + self.shift[:, None]

    def get_buffer(self, target: str) -> Tensor:
        """Return a buffer of the model."""
        return self.model.get_buffer(target)


def needs_of(experiment: Experiment) -> frozenset[str]:
    """Return what the configured model is built from beside the number of items (see `Recommender.needs`).

    Raises:
        ConfigError: If there is no such model.
    """
    found: frozenset[str] = getattr(MODELS.get(experiment.model.name), "needs", frozenset())
    return found
