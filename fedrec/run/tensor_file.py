"""Tensors and texts in one safetensors file that holds a checksum of itself: what is read back is what was written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor


def checked_bytes(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> bytes:
    """Return the file's bytes.

    Args:
        tensors: By name; they may share memory, and need not be contiguous.
        texts: By name, none of them "sha256".
    """
    own = {name: value.clone().contiguous() for name, value in tensors.items()}
    return bytes(tensors_to_bytes(own, {**texts, "sha256": _digest(own, texts)}))


def read_checked(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and texts of a file that `checked_bytes` made.

    Raises:
        SafetensorError: If it is not whole, or its checksum is another.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        texts = dict(file.metadata() or {})
    if texts.pop("sha256", "") != _digest(tensors, texts):
        message = f"{path} is not what was written: its checksum is another"
        raise SafetensorError(message)
    return tensors, texts


def _digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Return one hash of everything in a file: names, types, shapes and bits, and the texts beside them."""
    digest = hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
