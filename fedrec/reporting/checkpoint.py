"""A checkpoint: all that the next round needs, in one safetensors file that holds a checksum of itself."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.privacy.ledger import Ledger


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that the next round needs.

    Attributes:
        round: The last finished round; 0 before the first.
        parameters: The global adapter.
        best: The adapter of the best validation score so far.
        best_round: Its round.
        best_score: Its score; lower is better (see `fedrec.evaluation.validation`).
        strategy: The strategy's own state.
        ledger: What was spent.
        validation_ledger: What private validation users spent; empty for volunteers.
        released: What was released before the first round: noisy "item_counts", `[num_items]` in float64, if any.
        summed: Sum in float64 of the adapters that will be averaged (see `fedrec.result`); empty where none are.
        lines: Hash of the rounds' lines up to this one, as it was read; "" of a checkpoint that was not saved yet.
    """

    round: int
    parameters: dict[str, Tensor]
    best: dict[str, Tensor]
    best_round: int
    best_score: float
    strategy: dict[str, Tensor]
    ledger: Ledger
    released: dict[str, Tensor] = field(default_factory=dict)
    summed: dict[str, Tensor] = field(default_factory=dict)
    validation_ledger: Ledger = field(default_factory=Ledger)
    lines: str = ""

    def to_bytes(self, lines: str = "") -> bytes:
        """Return one safetensors file, which holds a checksum of itself and of the rounds' `lines` up to this one."""
        groups = {
            "parameters": self.parameters,
            "best": self.best,
            "strategy": self.strategy,
            "released": self.released,
            "summed": self.summed,
        }
        tensors = {
            f"{group}/{n}": v.clone().contiguous() for group, values in groups.items() for n, v in values.items()
        }
        facts = {"round": self.round, "best_round": self.best_round, "best_score": repr(self.best_score)}
        ledgers = {"ledger": self.ledger.to_json(), "validation_ledger": self.validation_ledger.to_json()}
        texts = {"facts": json.dumps(facts), **ledgers, "lines": lines}
        return bytes(tensors_to_bytes(tensors, {**texts, "sha256": _digest(tensors, texts)}))

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a file that `to_bytes` made.

        Raises:
            SafetensorError: If it is not whole, or its checksum is another.
        """
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
        if metadata.pop("sha256", "") != _digest(tensors, metadata):
            message = f"{path} is not what was written: its checksum is another"
            raise SafetensorError(message)
        facts = json.loads(metadata["facts"])

        def group(name: str) -> dict[str, Tensor]:
            return {n.removeprefix(f"{name}/"): v for n, v in tensors.items() if n.startswith(f"{name}/")}

        return cls(
            round=facts["round"],
            parameters=group("parameters"),
            best=group("best"),
            best_round=facts["best_round"],
            best_score=float(facts["best_score"]),
            strategy=group("strategy"),
            ledger=Ledger.from_json(metadata["ledger"]),
            released=group("released"),
            summed=group("summed"),
            validation_ledger=Ledger.from_json(metadata["validation_ledger"]),
            lines=metadata["lines"],
        )


def _digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Return one hash of everything in a checkpoint: names, types, shapes and bits, and the texts beside them."""
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
