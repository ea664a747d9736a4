"""Item text to item vectors, by a frozen transformers encoder, cached on disk.

The cache key is made of what determines the vectors: the hash of the weights, the number of layers, the
pooling, the token limit, the hash of the texts, and, for their last bits, the precision and the size of a batch.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.files import replacing, sha256_of, write_whole
from fedrec.core.places import writing_to_cache
from fedrec.core.progress import Progress, silent
from fedrec.experiment.config import TextConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 64
"""Most texts that are encoded at once where the experiment does not say how many."""
BATCH_BYTES = 128 << 20
"""Memory for a batch's activations in one layer; the same everywhere, so that a vector's bits are."""
DETERMINING = ("*.safetensors", "config.json", "tokenizer*", "vocab.*", "merges.txt", "*_tokens*.json", "*.model")
"""Files of an encoder that decide its vectors."""


def encode_items(
    texts: Sequence[str], config: TextConfig, folder: Path, cache: Path, progress: Progress = silent
) -> NDArray[np.float32]:
    """Return one vector per text, `[len(texts), encoder width]`, from the cache where it knows them.

    Args:
        texts: What the encoder reads of each item; at least one, any of them may be empty.
        config: Pooling, layers, token limit, precision and batch size.
        folder: The encoder's files (see `fedrec.text.locate`).
        cache: Root of the cache; vectors go to `vectors/<key>.npy`, with their checksum beside them: damaged ones are
            computed again.
        progress: Called after each batch.

    Raises:
        ConfigError: If the folder holds no encoder that transformers can load whole, or one of too few layers.
        AcquireError: If the cache cannot be written.
    """
    path = cache / "vectors" / f"{cache_key(texts, config, folder)}.npy"
    checksum = path.with_suffix(".sha256")
    if path.exists() and checksum.exists() and checksum.read_bytes() == sha256_of(path).encode():
        cached: NDArray[np.float32] = np.load(path)
        return cached
    with writing_to_cache(path.parent):
        vectors = encode_texts(texts, config, folder, progress)
        with replacing(path) as file:
            np.save(file, vectors)
        write_whole(checksum, sha256_of(path))
    return vectors


def cache_key(texts: Sequence[str], config: TextConfig, folder: Path) -> str:
    """Return the hash of all that determines the vectors."""
    parts = {
        "weights": weights_sha256(folder),
        "texts": hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest(),
        "pooling": config.pooling,
        "layers": config.layers,
        "max_tokens": config.max_tokens,
        "precision": config.precision,
        "batch_size": config.batch_size,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def weights_sha256(folder: Path) -> str:
    """Return one hash over an encoder's weight, configuration and tokenizer files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if any(fnmatch(path.name, pattern) for pattern in DETERMINING):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def encode_texts(texts: Sequence[str], config: TextConfig, folder: Path, progress: Progress) -> NDArray[np.float32]:
    """Return one vector per text, `[len(texts), encoder width]`; at least one text (see `encode_items`)."""
    progress("encoding item text", 0, len(texts))
    tokenizer, model = load_encoder(config, folder)
    max_tokens = min(config.max_tokens, tokenizer.model_max_length)
    size = config.batch_size or fitting_batch(model.config, max_tokens, model.dtype.itemsize)
    # Batches of equal length waste nothing on padding; a batch's other texts change only the last bits of a vector.
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), index))
    rows: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(order), size):
            batch = [texts[index] for index in order[start : start + size]]
            tokens = tokenizer(batch, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
            rows.append(_pool(model(**tokens).last_hidden_state.float(), tokens["attention_mask"], config.pooling))
            progress("encoding item text", min(start + size, len(order)), len(order))
    vectors = np.empty((len(texts), rows[0].shape[1]), dtype=np.float32)
    vectors[order] = torch.cat(rows).numpy()
    return vectors


def fitting_batch(shape: Any, max_tokens: int, itemsize: int) -> int:
    """Return how many texts of the longest length fit `BATCH_BYTES`: a power of two from 1 to `BATCH`.

    Counted are the activations of one layer, an upper bound for most texts, which are shorter: the feed-forward's
    before and after its non-linearity, six rows of the hidden state, and each head's attention before and after the
    softmax.

    Args:
        shape: The encoder's configuration, as transformers has it.
        max_tokens: Tokens of the longest text.
        itemsize: Bytes of a number.
    """
    hidden, heads = int(shape.hidden_size), int(shape.num_attention_heads)
    feed = int(getattr(shape, "intermediate_size", None) or 4 * hidden)
    of_text = max_tokens * (2 * feed + 6 * hidden + 2 * heads * max_tokens) * itemsize
    fit: int = BATCH_BYTES // of_text
    return min(BATCH, 1 << max(0, fit.bit_length() - 1))


def load_encoder(config: TextConfig, folder: Path) -> tuple[Any, "PreTrainedModel"]:
    """Return tokenizer and model, both as they were saved: transformers fills what is missing with random weights."""
    from transformers import AutoConfig, AutoModel  # slow to import, and needed only on a cache miss

    try:
        shape = AutoConfig.from_pretrained(folder, local_files_only=True)
        _cut(shape, config.layers, folder)
        tokenizer = load_tokenizer(folder)
        with _quiet():
            model, found = AutoModel.from_pretrained(
                folder,
                config=shape,
                local_files_only=True,
                dtype=getattr(torch, config.precision),
                output_loading_info=True,
            )
    except (OSError, ValueError) as error:
        message = f"{folder} holds no encoder that transformers can load: {error}"
        raise ConfigError(message) from error
    if missing := sorted(name for name in found["missing_keys"] if not name.startswith("pooler.")):
        message = f"{folder} lacks {len(missing)} weights of its encoder, for example {missing[0]}; get it whole"
        raise ConfigError(message)
    return tokenizer, (model.get_encoder() if shape.is_encoder_decoder else model).eval()


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer in a folder; one without a token for padding pads with that for the end.

    Raises:
        ConfigError: If there is none that transformers can load.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoTokenizer  # slow to import

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        message = f"{folder} holds no encoder that transformers can load: {error}"
        raise ConfigError(message) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own bar and its report of unused layers off the screen."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _cut(shape: Any, layers: int | None, folder: Path) -> None:
    """Keep the first `layers` of the encoder; asking for more than it has would add random ones."""
    if layers is None:
        return
    if layers > shape.num_hidden_layers:
        message = f"text.layers={layers}, but the encoder in {folder.name} has {shape.num_hidden_layers} layers"
        raise ConfigError(message)
    shape.num_hidden_layers = layers


def _pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    if pooling == "cls":
        return hidden[:, 0]
    weight = mask[:, :, None].to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)
