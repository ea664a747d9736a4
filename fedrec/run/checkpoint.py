"""A checkpoint: all that the next round needs, in one safetensors file that holds a checksum of itself."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from fedrec.privacy.ledger import Ledger
from fedrec.run.tensor_file import checked_bytes, read_checked


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that the next round needs.

    Attributes:
        round: The last finished round; 0 before the first.
        parameters: The global adapter.
        best: The adapter of the best validation score so far.
        best_round: Its round.
        best_score: Its score; lower is better (see `fedrec.evaluation.validation.volunteers`).
        strategy: The strategy's own state.
        ledger: What was spent.
        validation_ledger: What private validation users spent; empty for volunteers.
        released: What was released before the first round, if anything: noisy "item_counts", `[num_items]`, in float64;
            weights of a linear branch by the name of their sum (see `fedrec.models.linear.sums`).
        summed: Sum in float64 of the adapters that will be averaged (see `fedrec.evaluation.result.selection`); empty
            where none are.
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
        tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
        facts = {"round": self.round, "best_round": self.best_round, "best_score": repr(self.best_score)}
        ledgers = {"ledger": self.ledger.to_json(), "validation_ledger": self.validation_ledger.to_json()}
        texts = {"facts": json.dumps(facts), **ledgers, "lines": lines}
        return checked_bytes(tensors, texts)

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a file that `to_bytes` made.

        Raises:
            SafetensorError: If it is not whole, or its checksum is another.
        """
        tensors, texts = read_checked(path)
        facts = json.loads(texts["facts"])

        def group(name: str) -> dict[str, Tensor]:
            return {n.removeprefix(f"{name}/"): v for n, v in tensors.items() if n.startswith(f"{name}/")}

        return cls(
            round=facts["round"],
            parameters=group("parameters"),
            best=group("best"),
            best_round=facts["best_round"],
            best_score=float(facts["best_score"]),
            strategy=group("strategy"),
            ledger=Ledger.from_json(texts["ledger"]),
            released=group("released"),
            summed=group("summed"),
            validation_ledger=Ledger.from_json(texts["validation_ledger"]),
            lines=texts["lines"],
        )
