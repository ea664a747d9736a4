"""A world small enough for hand arithmetic, built from the same parts as a real run."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from fedrec.data.columns import RaggedArray, StringColumn
from fedrec.data.federation import Federation
from fedrec.data.interactions import Catalogue, Dataset, Interactions, Users
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import attach_, trained_parameters
from fedrec.models.recommender import ModelInputs, Recommender, build_model
from fedrec.privacy.plan import PrivacyPlan
from fedrec.tasks.next_item import NextItem
from fedrec.training.client import train_client
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate
from fedrec.training.vectorized import train_cohort

torch.set_num_threads(1)  # tensors this small only wait for a second thread

NUM_ITEMS = 7
SEQUENCES = ([0, 1, 2, 3], [4, 2, 4, 4, 6], [5, 6], [1, 3, 5, 0])
"""Items of users 0 to 3 in time order, none longer than window + 1; user 1 repeats an item."""
CLIENTS = ([0, 1], [2], [3])
SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"width": 8, "heads": 2, "layers": 1, "window": 4, "softmax_items": 100},
    "adapter": {
        "name": "lora",
        "rank": 2,
        "targets": ["query", "key", "value", "output", "expand", "contract"],
        "item_projection": True,
        "item_bias": True,
        "item_delta": False,
    },
    "training": {"optimizer": "sgd", "lr": 1.0, "steps": 1, "example": "sequence", "sampling_rate": 1.0},
}
"""What the arithmetic of tests rests on, whatever the defaults are."""


def interactions(sequences: Sequence[Sequence[int]] = SEQUENCES, num_items: int = NUM_ITEMS) -> Interactions:
    """Return the rows of users 0, 1, ..., each with its items in time order."""
    user = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    item = np.array([item for sequence in sequences for item in sequence], dtype=np.int64)
    value = np.ones(len(item), dtype=np.float32)
    return Interactions.from_rows(user, item, np.arange(len(item)), value, len(sequences), num_items)


def dataset(rows: Interactions, genres: Sequence[str] | None = None, **users: Sequence[str]) -> Dataset:
    """Return the rows with a catalogue and users of made-up names."""
    items = [f"item {item}" for item in range(rows.num_items)]
    attributes = {} if genres is None else {"genres": genres}
    people = Users([f"user {user}" for user in range(rows.num_users)], dict(users))
    return Dataset("handmade", rows, Catalogue(items, items, items, attributes), people)


def experiment(**sections: Any) -> Experiment:
    """Return an experiment of tiny sizes; sections are dicts of what is to differ."""
    names = SECTIONS.keys() | sections.keys()
    return Experiment.model_validate({name: {**SECTIONS.get(name, {}), **sections.get(name, {})} for name in names})


def vectors(num_items: int = NUM_ITEMS, dimensions: int = 5) -> torch.Tensor:
    """Return item vectors at random."""
    return torch.randn(num_items, dimensions, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def inputs(num_items: int = NUM_ITEMS, *, single: bool = False, **more: Any) -> ModelInputs:
    """Return what a model is built for: item vectors at random, in double precision or in single."""
    found = vectors(num_items)
    return ModelInputs(num_items, item_vectors=found.float() if single else found, **more)


def batch(history: torch.Tensor, target: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Return histories, and targets if there are any, as one batch of a client's first user."""
    user = torch.zeros(len(history), dtype=torch.int64)
    return {"history": history, "user": user} | ({} if target is None else {"target": target})


def losses(
    model: Recommender, history: torch.Tensor, target: torch.Tensor, sample: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the next-item loss of each example."""
    return NextItem(experiment()).losses(model, batch(history, target), sample)


def queries(histories: Sequence[Sequence[int] | np.ndarray]) -> Queries:
    """Return users 0, 1, ... of these histories, whose values nobody reads."""
    return Queries(np.arange(len(histories)), [np.array(history, dtype=np.int64) for history in histories], ())


NEXT_ITEM: dict[str, Any] = {
    "name": "next_item",
    "targets": {"last": "the last item", "last20": "the last 20 %"},
    "headline": {"target": "last20", "metric": "ndcg@10", "higher_is_better": True},
    "ranks": True,
}
"""What a summary says of the default task."""


def plan(trust: Literal["local", "central", "none"] = "none", noise: float = 0.0, clip: float = 1.0) -> PrivacyPlan:
    """Return a plan that clips and noises as told; nothing else of it matters to a client."""
    return PrivacyPlan(
        trust=trust,
        unit="user",
        noise_multiplier=noise,
        clip_norm=clip,
        delta=1e-3,
        sampling_rate=1.0,
        steps=1,
        rounds=1,
        multiplicity=1,
        clients=len(CLIENTS),
        own_client=False,
        whole_population=False,
        cohorts="all",
    )


def context(
    sequences: Sequence[Sequence[int]] = SEQUENCES,
    clients: Sequence[Sequence[int]] = CLIENTS,
    privacy: PrivacyPlan | None = None,
    **sections: Any,
) -> TrainingContext:
    """Return a context in float64 whose weights are all far from 0, so that no gradient vanishes by chance."""
    wanted = experiment(**sections)
    rows = interactions(sequences)
    model = build_model(wanted, inputs())
    attach_(model, wanted.adapter, wanted.seed)
    model.double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    start = {name: parameter.detach().clone() for name, parameter in trained_parameters(model).items()}
    owned = RaggedArray.of([np.array(users, dtype=np.int64) for users in clients])
    federation = Federation(owned, StringColumn.of(str(users) for users in clients))
    return TrainingContext(wanted, model, rows, federation, privacy or plan(), start, wanted.seed, one_platform(rows))


def one_platform(rows: Interactions) -> Platforms:
    """Return the platform that has all users and items."""
    return Platforms(("data",), np.array([0, rows.num_items]), np.array([0, rows.num_users]))


def task(of: TrainingContext, client: int = 0, round: int = 1, **more: Any) -> CohortTask:
    """Return one client's task that starts from the context's own adapter."""
    return CohortTask([client], round, dict(of.shared_start), **more)


def train_each_as_alone(of: TrainingContext, asked: CohortTask) -> CohortUpdate:
    """Return the answers of clients that are trained together, each of which is held against the reference's."""
    together = train_cohort(of, asked)
    for row, alone in enumerate(asked.each()):
        one = train_client(of, alone)
        for part in ("parameters", "private", "extras", "kept"):
            found, expected = getattr(together, part), getattr(one, part)
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(found[name][row : row + 1], value, rtol=0, atol=1e-9)
    return together


def moved(after: Mapping[str, torch.Tensor], before: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return after minus before as one long vector, in the order of `after`."""
    return torch.cat([(after[name] - before[name]).flatten() for name in after])
