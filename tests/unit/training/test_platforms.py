"""Training with several platforms: each client learns to rank the items of its own, on every path alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedrec.core.progress import silent
from fedrec.core.seeding import rng_for
from fedrec.data.platform import Platforms
from fedrec.data.split import any_items
from fedrec.tasks.next_item import NextItem
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.client import train_client
from fedrec.training.context import TrainingContext
from fedrec.training.held_out_loss import user_losses
from fedrec.training.task import CohortTask
from fedrec.training.vectorized import train_cohort
from tests.handmade import context, plan, task

ROWS = ([0, 1, 2, 3], [2, 0, 1], [4, 5, 6], [6, 4, 6, 5, 4])
"""Users 0 and 1 are of the first platform, with items 0 to 3; users 2 and 3 of the second, with items 4 to 6."""
PLATFORMS = Platforms(("books", "films"), np.array([0, 4, 7]), np.array([0, 2, 4]))
BOOKS, FILMS = PLATFORMS.items_of(0), PLATFORMS.items_of(1)
PRIVACY = {"open": plan(), "local": plan("local", noise=1.5, clip=0.5)}


def world(privacy: str = "open", clients: Sequence[Sequence[int]] = ([0], [1], [2, 3]), **sections: Any) -> Any:
    return replace(context(ROWS, clients, PRIVACY[privacy], **sections), platforms=PLATFORMS)


@pytest.mark.parametrize("privacy", PRIVACY)
@pytest.mark.parametrize("limit", [100, 2])
def test_a_cohort_of_two_platforms_answers_as_its_clients_would_one_at_a_time(privacy: str, limit: int) -> None:
    made: TrainingContext = world(privacy, model={"softmax_items": limit}, training={"steps": 3, "lr": 0.1})
    together = train_cohort(made, CohortTask(range(3), 1, dict(made.shared_start)))
    for client, found in together.each():
        alone = train_client(made, task(made, client))
        for name, value in found.parameters.items():
            torch.testing.assert_close(value, alone.parameters[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("client", "others"), [(0, FILMS), (2, BOOKS)])
@pytest.mark.parametrize("limit", [100, 2])
def test_a_client_moves_no_item_of_another_platform(client: int, others: range, limit: int) -> None:
    made = world(model={"softmax_items": limit})
    moved = train_client(made, task(made, client)).parameters["item_bias.weight"][0] - made.start["item_bias.weight"]
    assert (moved[list(others)] == 0).all()
    assert (moved != 0).any()


def test_the_loss_is_a_softmax_over_the_platforms_own_items() -> None:
    made = world()
    batch = made.task.collate(made.task.judged(made.train, np.array([2])))
    scores = made.model(batch)[0, :, FILMS.start :]
    # after 4 comes 5, the second film, and after 5 comes 6, the third
    expected = -(scores[0].log_softmax(0)[1] + scores[1].log_softmax(0)[2]) / 2
    torch.testing.assert_close(made.task.losses(made.model, batch, None, FILMS)[0], expected)


def test_each_platform_has_a_sample_of_its_own_and_the_first_that_of_a_run_without_others() -> None:
    made = world(model={"softmax_items": 2})
    first, second = (made.sample(3, 1, platform) for platform in (0, 1))
    assert first.tolist() == any_items(rng_for(made.experiment.seed, "negatives", 3, 1), 4, 2).tolist()
    drawn = any_items(rng_for(made.experiment.seed, "negatives", "films", 3, 1), 3, 2)
    assert second.tolist() == (4 + drawn).tolist()
    assert set(second.tolist()) < set(FILMS)


def test_held_out_users_have_the_loss_that_they_would_have_alone() -> None:
    made = world()
    users = np.arange(4)
    judged = made.task.judged(made.train, users)
    stretches = PLATFORMS.stretches(users, made.train.lengths_of(users) >= 2)
    assert stretches == [(BOOKS, range(2)), (FILMS, range(2, 4))]
    alone = [user_losses(made.model, made.task, judged[slice(*of)], [(items, range(2))]) for items, of in (
        (BOOKS, (0, 2)),
        (FILMS, (2, 4)),
    )]  # fmt: skip
    assert torch.equal(user_losses(made.model, made.task, judged, stretches), torch.cat(alone))


def test_a_platform_without_held_out_users_has_an_empty_stretch() -> None:
    assert PLATFORMS.stretches(np.array([2, 3]), np.array([2, 5])) == [(BOOKS, range(0)), (FILMS, range(7))]


def test_central_training_has_batches_of_one_platform_each(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world(training={"example": "prefix"})
    seen: list[tuple[range, set[int]]] = []
    right = NextItem.losses

    def losses(own: NextItem, model: Any, batch: Any, sample: Tensor | None, items: range | None = None) -> Tensor:
        assert items is not None
        seen.append((items, set(batch["target"].flatten().tolist()) - {-1}))
        return right(own, model, batch, sample, items)

    monkeypatch.setattr(NextItem, "losses", losses)
    users = np.arange(4)
    counts = made.task.count(made.train.lengths_of(users))  # 3 + 2 + 2 + 4 pairs
    train_centrally_(
        made.model,
        made.task,
        made.task.examples(made.train, users),
        CentralSettings(epochs=2, lr=0.01, patience=1, label="a test"),
        0,
        lambda: float("nan"),
        silent,
        PLATFORMS.stretches(users, counts),
    )
    assert len(seen) == 2 * 2, "a batch a platform in each of two epochs"
    assert {items for items, _ in seen} == {BOOKS, FILMS}
    assert all(targets <= set(items) for items, targets in seen)
    assert set.union(*(targets for items, targets in seen if items == FILMS)) == {4, 5, 6}
