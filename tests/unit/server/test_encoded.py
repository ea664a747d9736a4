"""Encoded changes: decoded, checked and added where they are, with the same bits as when they come in messages."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from flwr.app import Message

from clients.app import pack
from fedrec.training.task import CohortUpdate, joined
from fedrec.transforms.pipeline import Transforms
from server.aggregation.replies import Wanted, check_replies
from server.aggregation.update_sum import SumAggregator
from server.message_size import answered
from simulations.engine.reply_size import sent_of
from tests.tiny import sent_by
from tests.transforming import Affine, Garbles, Noisy, named

BEFORE = {"w": np.array([1.0, -2.0, 0.5], np.float32), "b": np.array([[0.25]], np.float32)}
CHANGES = [[0.1, 0.2, -0.3], [30.0, 40.0, 0.0], [0.0, 0.0, 0.0], [0.5, -0.5, 0.5]]


def answers(transforms: Transforms, changes: list[list[float]] = CHANGES) -> CohortUpdate:
    """Return what clients answer who moved "w" so and "b" by nothing, encoded."""
    clients = list(range(len(changes)))
    moved = [{"w": np.array(change, np.float32), "b": np.zeros((1, 1), np.float32)} for change in changes]
    stack = {name: torch.from_numpy(np.stack([BEFORE[name] + one[name] for one in moved])) for name in BEFORE}
    sent: Mapping[int, Mapping[str, Any]] = {
        client: transforms.encode(one, client, 1, {})[0] for client, one in enumerate(moved)
    }
    ones = [1.0 + client for client in clients]
    return CohortUpdate(clients, stack, {}, ones, [None] * len(clients), encoded=sent)


def messages(update: CohortUpdate) -> list[Message]:
    return [sent_by(client, pack(answer)) for client, answer in update.each()]


def test_a_sum_has_the_same_bits_where_it_is_made_and_where_messages_come() -> None:
    transforms = Transforms((named(Noisy), named(Affine, scale=3.0, shift=0.1)), seed=5, clients=4)
    update = answers(transforms)
    for aggregator in (
        SumAggregator(10.0, transforms=transforms),  # client 1 is 50 long
        SumAggregator(clip_norm=0.5, transforms=transforms),
    ):
        here = aggregator.add_cohort(BEFORE, update)
        updates, rejections = check_replies(messages(update), Wanted(BEFORE, aggregator.max_norm, {}, transforms))
        there = aggregator.add(updates)
        assert here.sums.keys() == there.sums.keys() == BEFORE.keys()
        for name, value in here.sums.items():
            np.testing.assert_array_equal(value, there.sums[name])
        assert (here.weight, list(here.accepted), here.bits) == (there.weight, list(there.accepted), there.bits)
        assert list(here.rejections) == rejections
    assert [rejection.reason for rejection in here.rejections] == []
    assert sent_of(update) == answered(messages(update))


def test_what_cannot_be_decoded_is_unreadable_and_nobody_else_notices() -> None:
    transforms = Transforms((named(Garbles, unreadable=1),))
    total = SumAggregator(transforms=transforms).add_cohort(BEFORE, answers(transforms))
    (rejection,) = total.rejections
    assert (rejection.client, rejection.reason) == (1, "unreadable")
    assert "no such array" in rejection.detail
    assert list(total.accepted) == [0, 2, 3]
    alone = SumAggregator(transforms=transforms).add_cohort(BEFORE, answers(transforms, [[np.nan, 0, 0]]))
    assert [(one.reason, one.detail) for one in alone.rejections] == [("not finite", "NaN or infinity in w")]


def test_a_length_is_that_of_the_decoded_change() -> None:
    far = Transforms((named(Affine, scale=1e-6),))
    update = answers(far, [[3.0, 4.0, 0.0]])
    assert np.abs(update.encoded[0]["sent/w"]).max() < 1e-5
    (rejection,) = SumAggregator(4.9, transforms=far).add_cohort(BEFORE, update).rejections
    assert rejection.reason == "too long"
    assert SumAggregator(5.1, transforms=far).add_cohort(BEFORE, update).accepted == (0,)


def test_answers_of_both_kinds_are_added_and_a_change_of_zeros_has_no_bit() -> None:
    transforms = Transforms((named(Affine, shift=9.0),))
    plain = answers(Transforms(), [[0.0, 0.0, 0.25]])
    plain = CohortUpdate([7], plain.parameters, {}, [1.0], [None], {8: "ValueError: no"})
    update = joined([plain, answers(transforms, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.5]])])
    total = SumAggregator(clip_norm=1.0, transforms=transforms).add_cohort(BEFORE, update)
    # 7 is plain and short, 0 sent zeros, 1 is short: 0.25 + 0 + 0.5, bits 1/2 + 0 + 1/2
    np.testing.assert_allclose(total.sums["w"], [0, 0, 0.75], atol=1e-6)
    assert (list(total.accepted), total.bits, [bad.client for bad in total.rejections]) == ([7, 0, 1], 1.0, [8])
