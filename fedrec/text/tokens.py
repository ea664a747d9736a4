"""Titles and texts of the items as a language model's tokens, for a model that reads words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.core.files import write_whole
from fedrec.experiment.config import TextConfig
from fedrec.text.encoder import load_tokenizer

TITLE_TOKENS = 12
"""A title is cut after so many: a history is as many times longer as it has items."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The words of a catalogue.

    Attributes:
        titles: Of each item, `[items, longest title]`, with the padding token behind its end.
        texts: Likewise what else is read of it, `[items, longest text]`.
        special: The tokens that begin a text, end one, and stand where there is none, `[3]`.
    """

    titles: Int[Tensor, "items title"]
    texts: Int[Tensor, "items text"]
    special: Int[Tensor, " three"]

    def write(self, path: Path) -> None:
        """Write them to a file."""
        write_whole(path, tensors_to_bytes(dict(vars(self))))

    @classmethod
    def open(cls, path: Path) -> "Tokens":
        """Return what `write` wrote."""
        return cls(**load_file(path))


STAND_IN = Tokens(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.int64), torch.tensor([2, 3, 0]))
"""Two items of one word each: what an experiment is tried on before its data are at hand."""


def tokenise(titles: Sequence[str], texts: Sequence[str], config: TextConfig, folder: Path) -> Tokens:
    """Return the tokens of items, at least one, texts being cut as they are for their vectors (`text.max_tokens`).

    Raises:
        ConfigError: If the folder holds no tokenizer that transformers can load.
    """
    tokenizer = load_tokenizer(folder)

    def cut(words: Sequence[str], most: int) -> Tensor:
        found = tokenizer(list(words), add_special_tokens=False, truncation=True, max_length=most)["input_ids"]
        rows = torch.full((len(found), max(1, *(len(row) for row in found))), tokenizer.pad_token_id)
        for row, own in zip(rows, found, strict=True):
            row[: len(own)] = torch.tensor(own, dtype=torch.int64)
        return rows

    special = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return Tokens(cut(titles, TITLE_TOKENS), cut(texts, config.max_tokens), torch.tensor(special))
