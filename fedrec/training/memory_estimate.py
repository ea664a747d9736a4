"""How much memory a run will need on a processor, roughly, before it starts: within a factor of two.

Each phase has its peak: a few arrays that live at once, counted by hand and held against measured peaks in
`tests/integration/test_memory.py`. The numbers of copies are what autograd keeps. What a process has loaded before (the
libraries, the data) is not counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import Experiment
from fedrec.tasks import open_task
from fedrec.tasks.base import rows_at_once
from fedrec.training.central import BATCH as CENTRAL_BATCH
from fedrec.training.held_out_loss import BATCH as LOSS_BATCH
from fedrec.training.vectorized import MOST_POSITIONS, MOST_SCORES

FLOAT = 4
"""Bytes of a number in single precision."""

SCORES, EMBEDDINGS, HIDDEN, GRADIENTS = 4, 3, 20, 2
"""Copies while a gradient is taken: of scores; of embedded items; of hidden states, a layer; of a block's adapter."""

ADAPTERS = {"sgd": 3, "adam": 5}
"""Copies of each client's adapter: itself, its sum of gradients and one on its way, and the optimiser's state."""

LOSS_COPIES = 3
"""Copies of scores where no gradient is computed."""

RANKED, RANKING = 256, 40
"""Users that are ranked at once, and bytes for each of them and each item (see `fedrec.metrics.ranking`)."""

SQUARE = 8
"""Bytes for each pair of items, in double precision."""

SQUARES = {"ease": 1, "ease_recency": 2, "linear_next_item": 2, "linear_sum": 3}
"""Squares of the catalogue that a control holds at once."""


@dataclass(frozen=True)
class Size:
    """What the estimate must know of a prepared run.

    Attributes:
        items: Of the largest platform: what a user's items are ranked among.
        trained: Numbers that a client trains.
        clients: Trained together, most of a chunk.
        workers: Processes that train at once.
        all_items: Of all platforms together; as many as `items` if there is one.
        position_cost: As of the model (`Recommender.position_cost`).
    """

    items: int
    trained: int
    clients: int
    workers: int = 1
    all_items: int = 0
    position_cost: int = 1


@dataclass(frozen=True)
class Peak:
    """The memory of one phase: its name, bytes, and the keys that lower it."""

    phase: str
    bytes: int
    keys: str


BRANCH, BRANCH_WITH_NEXT = 28, 52
"""Bytes for each pair of items of a linear branch: sums as they come, added up, and as squares; weights. The second is
that of a branch that has the next item, too."""


def peaks(experiment: Experiment, size: Size) -> list[Peak]:
    """Return what each phase will need, the most first."""
    all_items, model, controls = max(size.items, size.all_items), experiment.model, open_task(experiment).asked_controls
    found = [
        Peak(
            "training",
            size.workers * training_bytes(experiment, size),
            "adapter.rank, model.softmax_items or --workers",
        ),
        Peak("the validation loss", loss_bytes(model.window, size.items), "model.window"),
        Peak("ranking", RANKED * RANKING * all_items, "the number of items"),
    ]
    if "central" in controls:
        found.append(Peak("the control central", central_bytes(experiment, size), "model.softmax_items"))
    if experiment.linear.on:
        each = BRANCH_WITH_NEXT if experiment.linear.next_item else BRANCH
        found.append(Peak("the linear branch", each * all_items**2, "linear.on (leave it out)"))
    found += [
        Peak(f"the control {name}", squares * SQUARE * all_items**2, f"evaluation.controls (leave {name} out)")
        for name, squares in SQUARES.items()
        if name in controls
    ]
    return sorted(found, key=lambda peak: peak.bytes, reverse=True)


def training_bytes(experiment: Experiment, size: Size) -> int:
    """Return the peak of a chunk of clients (see `fedrec.training.vectorized`), blocks being a window each."""
    model = experiment.model
    scored = min(size.items, model.softmax_items)
    most = min(MOST_POSITIONS, MOST_SCORES // scored) // size.position_cost
    positions = max(model.window, min(most, size.clients * model.window))
    blocks = positions // model.window
    open_ = experiment.adapter.item_projection or experiment.adapter.item_delta
    numbers = (
        SCORES * positions * scored
        + HIDDEN * positions * size.position_cost * model.width * model.layers
        + EMBEDDINGS * (blocks if open_ else 1) * scored * model.width
        + (ADAPTERS[experiment.training.optimizer] * size.clients + GRADIENTS * blocks) * size.trained
    )
    return FLOAT * numbers


def central_bytes(experiment: Experiment, size: Size) -> int:
    """Return the peak of central training on one batch."""
    model, positions = experiment.model, CENTRAL_BATCH * experiment.model.window
    scored = min(size.items, model.softmax_items)
    return FLOAT * positions * (SCORES * scored + HIDDEN * size.position_cost * model.width * model.layers)


def loss_bytes(window: int, items: int) -> int:
    """Return the peak of the validation users' loss, over the whole catalogue."""
    users = min(LOSS_BATCH, rows_at_once(window * items))
    return FLOAT * LOSS_COPIES * users * window * items


def require_memory(found: Sequence[Peak], available: int, total: int, warn: Callable[[str], None]) -> None:
    """Refuse what cannot fit, warn of what may not.

    Args:
        found: As of `peaks`.
        available: Bytes that are free.
        total: Bytes that the machine has.
        warn: Called with a line.

    Raises:
        ConfigError: If even half of the estimate is more than the machine has.
    """
    peak = found[0]
    needs = f"{peak.phase} needs about {_gigabytes(peak.bytes)} of memory"
    if peak.bytes > 2 * total:
        message = f"{needs}, and this machine has {_gigabytes(total)}; lower {peak.keys}"
        raise ConfigError(message)
    if peak.bytes > available:
        warn(f"{needs}, and {_gigabytes(available)} are free: it may be killed; lower {peak.keys}")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
