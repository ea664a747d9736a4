"""Why no list of transforms breaks a claim: what the server adds is clipped, and no data still mean no change."""

import numpy as np
import pytest
import torch

from fedrec.core.errors import PrivacyError
from fedrec.privacy.plugin_checks import check_transforms
from fedrec.training.task import CohortUpdate
from fedrec.transforms.pipeline import Transforms
from server.aggregation.update_sum import SumAggregator
from tests.claims import CENTRAL, experiment
from tests.transforming import Affine, Feedback, Noisy, named

BEFORE = {"w": np.zeros(3, np.float32)}
CLIP = 0.5
LISTS = {
    "lengthens": (named(Affine, scale=1e-6),),
    "moves zero": (named(Affine, shift=100.0), named(Affine, scale=-1.0)),
    "draws": (named(Noisy),),
    "all": (named(Affine, shift=3.0), named(Noisy), named(Affine, scale=1e-3)),
}


def summed(transforms: Transforms, changes: list[list[float]]) -> np.ndarray:
    """Return the clipped sum of clients that moved so."""
    update = CohortUpdate(
        list(range(len(changes))),
        {"w": torch.tensor(changes)},
        {},
        [1.0] * len(changes),
        [None] * len(changes),
        encoded={
            client: transforms.encode({"w": np.array(change, np.float32)}, client, 1, {})[0]
            for client, change in enumerate(changes)
        },
    )
    total = SumAggregator(clip_norm=CLIP, transforms=transforms).add_cohort(BEFORE, update)
    return total.sums.get("w", np.zeros(3))


@pytest.mark.parametrize("name", LISTS)
def test_a_client_moves_a_central_sum_by_the_clip_norm_at_most_whatever_transforms_do(name):
    transforms = Transforms(LISTS[name], seed=1, clients=3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        others = rng.normal(size=(2, 3)).tolist()
        with_data = summed(transforms, [*others, rng.normal(size=3).tolist()])
        for without in ([*others, [0.0, 0.0, 0.0]], others):  # zero-out, add-remove
            assert np.linalg.norm(with_data - summed(transforms, without)) <= CLIP * (1 + 1e-9)
        replaced = summed(transforms, [*others, rng.normal(size=3).tolist()])
        assert np.linalg.norm(with_data - replaced) <= 2 * CLIP * (1 + 1e-9)


def test_the_bound_is_reached_so_the_test_can_fail():
    transforms = Transforms(LISTS["lengthens"])
    assert np.linalg.norm(summed(transforms, [[1.0, 0, 0]])) == pytest.approx(CLIP)
    # without the way round transforms, the place of a client without data would bring a change of its own
    moves = Transforms(LISTS["moves zero"])
    sent = {name: value * 0 for name, value in moves.encode({"w": np.ones(3, np.float32)}, 0, 1, {})[0].items()}
    assert np.linalg.norm(moves.decode(sent, BEFORE)["w"]) > CLIP


def test_memory_has_no_price_where_cohorts_of_a_fixed_size_are_drawn_in_secret():
    remembers = Transforms((named(Feedback),)).remember
    changes = CENTRAL | {"federation__participation": 0.5, "transforms": ({"name": "feedback"},)}
    secret = experiment(**changes, federation__sampling="without-replacement")
    with pytest.raises(PrivacyError, match=r"transforms \(feedback\) do: it would tell who made room for whom"):
        check_transforms(secret, kept=remembers)
    check_transforms(secret, kept=False)
    for sampling in ("fixed", "poisson", "balls-in-bins"):
        check_transforms(experiment(**changes, federation__sampling=sampling), kept=remembers)
