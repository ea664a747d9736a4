"""What a client keeps to itself between rounds: private parameters and its own privacy ledger.

It lies on the client's own disk, one file a round, because Flower's `context.state` ends with the process: a client
must not forget what it has spent when the simulation is killed and resumed. The newest file before the round in
hand counts, so a round that is run again starts from the same state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.files import write_whole
from fedrec.privacy.ledger import Ledger

KEPT = 2
"""Newest files kept: a run goes back by one round at most."""


@dataclass(frozen=True, eq=False)
class ClientState:
    """Private parameters by name, and what this client has spent."""

    private: Mapping[str, Tensor] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)


def recall(folder: Path, before: int) -> ClientState:
    """Return the newest state kept before round `before`; an empty one if there is none."""
    kept = [path for path in _files(folder) if _round(path) < before]
    if not kept:
        return ClientState()
    with safe_open(kept[-1], framework="pt") as file:
        private = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return ClientState(private, Ledger.from_json(file.metadata()["ledger"]))


def keep(folder: Path, state: ClientState, round: int) -> None:  # noqa: A002
    """Write the state after `round`, wholly or not at all, and drop what no resume can need."""
    data = tensors_to_bytes(dict(state.private), metadata={"ledger": state.ledger.to_json()})
    write_whole(folder / f"round-{round:06}.safetensors", data)
    for old in _files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("round-*.safetensors"))


def _round(path: Path) -> int:
    return int(path.stem.removeprefix("round-"))
