"""Item text to item vectors, by a frozen transformers encoder, cached on disk.

The cache key is made of what determines the vectors: the hash of the weights, the number of layers, the
pooling, the token limit and the hash of the texts.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.config import TextConfig
from fedrec.files import replacing
from fedrec.progress import Progress, silent

BATCH = 64


def encode_items(
    texts: Sequence[str], config: TextConfig, folder: Path, cache: Path, progress: Progress = silent
) -> NDArray[np.float32]:
    """Return one vector per text, `[len(texts), encoder width]`, from the cache where it knows them.

    Args:
        texts: What the encoder reads of each item.
        config: Pooling, layers and token limit.
        folder: The encoder's files (see `fedrec.text.locate`).
        cache: Root of the cache; vectors go to `vectors/<key>.npy`.
        progress: Told after each batch.
    """
    path = cache / "vectors" / f"{cache_key(texts, config, folder)}.npy"
    if path.exists():
        cached: NDArray[np.float32] = np.load(path)
        return cached
    vectors = _encode(texts, config, folder, progress)
    with replacing(path) as file:
        np.save(file, vectors)
    return vectors


def cache_key(texts: Sequence[str], config: TextConfig, folder: Path) -> str:
    """Return the hash of all that determines the vectors."""
    parts = {
        "weights": weights_sha256(folder),
        "texts": hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest(),
        "pooling": config.pooling,
        "layers": config.layers,
        "max_tokens": config.max_tokens,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def weights_sha256(folder: Path) -> str:
    """Return one hash over an encoder's weight and tokenizer files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".bin"} or path.name in {"config.json", "tokenizer.json", "vocab.txt"}:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _encode(texts: Sequence[str], config: TextConfig, folder: Path, progress: Progress) -> NDArray[np.float32]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers import AutoModel, AutoTokenizer  # slow to import, and needed only on a cache miss

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    layers = {} if config.layers is None else {"num_hidden_layers": config.layers}
    model = AutoModel.from_pretrained(folder, local_files_only=True, **layers).eval()
    # Batches of equal length waste nothing on padding; the order does not change a text's vector.
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), index))
    rows: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            batch = [texts[index] for index in order[start : start + BATCH]]
            tokens = tokenizer(batch, padding=True, truncation=True, max_length=config.max_tokens, return_tensors="pt")
            rows.append(_pool(model(**tokens).last_hidden_state, tokens["attention_mask"], config.pooling))
            progress("encoding item text", min(start + BATCH, len(order)), len(order))
    vectors = np.empty((len(texts), rows[0].shape[1]), dtype=np.float32)
    vectors[order] = torch.cat(rows).numpy()
    return vectors


def _pool(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    if pooling == "cls":
        return hidden[:, 0]
    weight = mask[:, :, None].to(hidden.dtype)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)
