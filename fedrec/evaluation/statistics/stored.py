"""Evaluations on disk, to the bit: a run's result on its test users, and what every control writes, too.

The result lies in `private/test.safetensors`, because a test user's own values are nobody's to publish: means over all
of them are in the summary. A sweep reads it, to compare recommenders user by user.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.data.interactions import IntArray
from fedrec.evaluation.groups import Labels
from fedrec.metrics.evaluation import Evaluation
from fedrec.run.tensor_file import checked_bytes, read_checked

Groups = Mapping[str, Mapping[str, Labels]]
"""Target -> attribute -> group of each of its cases, in their order."""


def keep_result(path: Path, fingerprint: str, test: Mapping[str, Evaluation], groups: Groups) -> None:
    """Write what the test users got from a run's result, whole or not at all.

    Args:
        path: Of the file.
        fingerprint: Of the run's experiment.
        test: Target -> evaluation.
        groups: Of the same users.
    """
    tensors, facts = to_tensors(test)
    named = {target: {name: labels.tolist() for name, labels in of.items()} for target, of in groups.items()}
    texts = {"about": fingerprint, "facts": json.dumps(facts), "groups": json.dumps(named)}
    write_whole(path, checked_bytes(tensors, texts))


def read_result(path: Path, fingerprint: str) -> tuple[dict[str, Evaluation], Groups]:
    """Return what `keep_result` wrote.

    Raises:
        RunError: If the file is damaged, or of another experiment.
    """
    try:
        tensors, texts = read_checked(path)
        _require(texts, fingerprint)
        named = json.loads(texts["groups"])
        groups = {target: {name: np.array(of[name], dtype=np.str_) for name in of} for target, of in named.items()}
        return from_tensors(tensors, json.loads(texts["facts"])), groups
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        message = f"{path} is damaged ({error}); restore it, or `fedrec run` the experiment anew"
        raise RunError(message) from error


def to_tensors(test: Mapping[str, Evaluation]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what differs by user as tensors, all else as facts for JSON; nan and infinity survive both."""
    tensors: dict[str, Tensor] = {}
    for target, found in test.items():
        per_user = {f"per_user/{metric}": values for metric, values in found.per_user.items()}
        arrays: dict[str, NDArray[Any]] = {
            "users": found.users,
            "recommended": found.recommended,
            "ranks": np.concatenate((np.empty(0, dtype=np.int64), *found.ranks)),
            "targets": np.array([len(own) for own in found.ranks], dtype=np.int64),
            **per_user,
        }
        tensors |= {f"{target}/{name}": torch.from_numpy(np.array(values)) for name, values in arrays.items()}
    return tensors, {
        target: {"name": found.name, "metrics": list(found.per_user), "lists": found.lists}
        for target, found in test.items()
    }


def from_tensors(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> dict[str, Evaluation]:
    """Return the evaluations of which `to_tensors` made both, by target."""
    return {
        target: Evaluation(
            name=told["name"],
            users=tensors[f"{target}/users"].numpy(),
            per_user={metric: tensors[f"{target}/per_user/{metric}"].numpy() for metric in told["metrics"]},
            ranks=_split(tensors[f"{target}/ranks"], tensors[f"{target}/targets"]),
            recommended=tensors[f"{target}/recommended"].numpy(),
            lists=told["lists"],
        )
        for target, told in facts.items()
    }


def _split(ranks: Tensor, targets: Tensor) -> tuple[IntArray, ...]:
    """Return each user's ranks, given all of them in a row and each user's number of targets."""
    return tuple(own.numpy() for own in torch.split(ranks, targets.tolist()))


def _require(texts: Mapping[str, str], fingerprint: str) -> None:
    if texts["about"] != fingerprint:
        message = "it is of another experiment"
        raise SafetensorError(message)
