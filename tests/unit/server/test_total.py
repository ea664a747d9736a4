"""Changes added up, by hand arithmetic; by a worker over stacked answers as by the server over replies."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.training.task import CohortUpdate, joined, nobody, only_row
from server.aggregation.update import Update
from server.aggregation.update_sum import SumAggregator, UpdateSum
from tests.tiny import update

BEFORE = {"a": np.array([1.0, 1.0], dtype=np.float32), "b": np.array([[2.0]], dtype=np.float32)}


def answers(changes, weights=None, clients=None, failures=None):
    """Return stacked answers whose changes are rows of (a, a, b)."""
    rows = torch.tensor(changes, dtype=torch.float32).reshape(-1, 3)
    parameters = {
        "b": rows[:, 2:, None] + torch.from_numpy(BEFORE["b"]),
        "a": rows[:, :2] + torch.from_numpy(BEFORE["a"]),
    }
    clients = list(range(len(rows))) if clients is None else clients
    return CohortUpdate(clients, parameters, {}, weights or [1.0] * len(rows), [None] * len(rows), failures or {})


def test_a_mean_is_weighted_by_examples():
    # (1 * (1, 0, 2) + 3 * (0, 4, 2)) / 4 = (0.25, 3, 2)
    total = SumAggregator(100).add_cohort(BEFORE, answers([[1, 0, 2], [0, 4, 2]], [1.0, 3.0]))
    assert (total.weight, total.accepted) == (4.0, [0, 1])
    assert total.mean()["a"].tolist() == [0.25, 3.0]
    assert total.mean()["b"].tolist() == [[2.0]]


def test_under_the_servers_bracket_every_change_is_clipped_over_all_names_and_weighs_one():
    # |(2, 1, 2)| = 3, clipped to 1.5: (1, 0.5, 1); |(0, 0, 1)| = 1 stays
    total = SumAggregator(clip_norm=1.5).add_cohort(BEFORE, answers([[2, 1, 2], [0, 0, 1]], [9.0, 0.0]))
    np.testing.assert_allclose(total.sums["a"], [1.0, 0.5], rtol=1e-12)
    np.testing.assert_allclose(total.sums["b"], [[2.0]], rtol=1e-12)
    assert total.weight == 2.0


def test_what_cannot_be_used_is_left_out_and_named():
    update = answers(
        [[np.nan, 0, 0], [1, 2, 3], [0, 0, np.inf], [200, 0, 0]], clients=[7, 3, 5, 1], failures={9: "ValueError: no"}
    )
    total = SumAggregator(100).add_cohort(BEFORE, update)
    assert total.accepted == [3]
    assert total.sums["a"].tolist() == [1.0, 2.0]
    assert [(bad.client, bad.reason, bad.detail) for bad in total.rejections] == [
        (9, "client failed", "ValueError: no"),
        (7, "not finite", "NaN or infinity in a"),
        (5, "not finite", "NaN or infinity in b"),
        (1, "too long", "update norm 200 is above federation.max_update_norm=100"),
    ]


def test_where_changes_are_clipped_none_is_rejected_for_its_length():
    # |(200, 0, 0)| is clipped to 2; what is not finite cannot be, nor what is so far away that no float32 says how far
    update = answers([[200, 0, 0], [np.nan, 0, 0], [0, 0, 1], [-3.3e38, 0, 0]])
    update.parameters["a"][3, 0] = -3.4e38
    before = {**BEFORE, "a": np.array([1e38, 1.0], dtype=np.float32)}
    far = SumAggregator(clip_norm=2.0).add_cohort(before, update)
    assert [(bad.client, bad.reason) for bad in far.rejections] == [(1, "not finite"), (3, "not finite")]
    total = SumAggregator(clip_norm=2.0).add_cohort(BEFORE, answers([[200, 0, 0], [np.nan, 0, 0], [0, 0, 1]]))
    assert (total.accepted, total.bits) == ([0, 2], -0.5 + 0.5)
    np.testing.assert_allclose(total.sums["a"], [2.0, 0.0], rtol=1e-12)
    with pytest.raises(PrivacyError, match="clipped to 2, so none may be rejected for a length above 100"):
        SumAggregator(max_norm=100, clip_norm=2.0)


def test_a_bit_is_a_half_either_way_and_none_of_no_change():
    # short (norm exactly the clip's), long, no change; nothing clipped has no bits
    rows = [[0, 0, 2], [0, 3, 4], [0, 0, 0]]
    assert [SumAggregator(clip_norm=2.0).add_cohort(BEFORE, answers([row])).bits for row in rows] == [0.5, -0.5, 0.0]
    assert SumAggregator(100).add_cohort(BEFORE, answers(rows)).bits == 0.0
    parts = [SumAggregator(clip_norm=5.0).add_cohort(BEFORE, answers([row])) for row in rows]
    assert (parts[0] + parts[1] + parts[2]).bits == 1.0


@pytest.mark.parametrize("nothing", [answers([]), nobody({}), answers([[np.nan, 0, 0]])])
def test_nobody_adds_nothing_and_has_no_mean(nothing):
    total = SumAggregator(100).add_cohort(BEFORE, nothing) + UpdateSum({})
    assert (dict(total.sums), total.weight, total.accepted) == ({}, 0.0, ())
    with pytest.raises(ConfigError, match="at least one weight above 0"):
        total.mean()


def test_totals_add_up_in_their_order_and_leave_each_other_as_they_were():
    parts = [
        SumAggregator(100).add_cohort(BEFORE, answers([row], clients=[i]))
        for i, row in enumerate([[1, 2, 3], [4, 5, 6]])
    ]
    both = parts[0] + parts[1]
    assert both.sums["a"].tolist() == [5.0, 7.0]
    assert both.accepted == (0, 1)
    assert parts[0].sums["a"].tolist() == [1.0, 2.0]


CHANGES = st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=5)


@given(changes=CHANGES, clip_norm=st.none() | st.floats(0.01, 100))
def test_a_worker_adds_what_a_server_would(changes, clip_norm):
    aggregator = SumAggregator(1e6) if clip_norm is None else SumAggregator(clip_norm=clip_norm)
    stacked = answers(changes, [float(i) for i in range(len(changes))])
    replies = [
        Update(client, {n: v.numpy() - BEFORE[n] for n, v in only_row(answer.parameters).items()}, answer.weights[0])
        for client, answer in stacked.each()
    ]
    here, there = aggregator.add_cohort(BEFORE, stacked), aggregator.add(replies)
    assert (here.weight, list(here.accepted)) == (pytest.approx(there.weight), list(there.accepted))
    assert here.bits == there.bits
    for name in BEFORE:
        np.testing.assert_allclose(here.sums[name], there.sums[name], rtol=1e-9, atol=1e-9)


def test_payloads_add_up_whatever_their_clients_weigh_and_only_of_accepted_clients():
    # client 1 is too long and client 2 sends NaN: (2 + 10) / 2 = 6 is left, of clients that weigh 1 and 3
    update = answers([[1, 0, 0], [200, 0, 0], [0, 0, 0], [0, 0, 1]], [1.0, 1.0, 1.0, 3.0])
    update = replace(update, extras={"c": torch.tensor([[2.0], [5.0], [math.nan], [10.0]])})
    here = SumAggregator(100).add_cohort(BEFORE, update)
    assert (here.accepted, here.extras["c"].tolist(), here.mean_extras()["c"].tolist()) == ([0, 3], [12.0], [6.0])
    assert [(bad.client, bad.reason, bad.detail) for bad in here.rejections][1:] == [
        (2, "not finite", "NaN or infinity in c")
    ]
    there = SumAggregator(100).add(
        [Update(0, BEFORE, 1.0, {"c": np.float32([2.0])}), Update(3, BEFORE, 3.0, {"c": np.float32([10.0])})]
    )
    assert there.mean_extras()["c"].tolist() == [6.0]
    both = here + UpdateSum({}) + there
    assert both.extras["c"].tolist() == [24.0]
    assert here.extras["c"].tolist() == [12.0]
    assert UpdateSum({}).mean_extras() == {}


def test_where_changes_are_clipped_no_payload_may_be_added():
    aggregator, extras = SumAggregator(clip_norm=1.0), {"c": torch.zeros(1, 1)}
    with pytest.raises(PrivacyError, match="clients sent c beside them, which nobody pays for"):
        aggregator.add_cohort(BEFORE, replace(answers([[1, 0, 0]]), extras=extras))
    with pytest.raises(PrivacyError, match="clients sent c beside them, which nobody pays for"):
        aggregator.add([Update(0, BEFORE, 1.0, {"c": np.zeros(1, np.float32)})])


def test_a_servers_sum_is_in_float64():
    # 2^24 + 1 is no float32: a float32 sum would lose the one
    total = SumAggregator(1e9).add([update(0, 2.0**24), update(1, 1.0)])
    assert total.sums["w"].tolist() == [2.0**24 + 1]


def test_cohorts_are_joined_row_by_row():
    parts = [answers([[1, 2, 3]], clients=[4]), answers([[0, 0, 0]], clients=[1])]
    first, last = (replace(part, extras={"c": torch.full((1, 1), float(part.clients[0]))}) for part in parts)
    both = joined([first, nobody({2: "why"}), last])
    assert both.extras["c"].tolist() == [[4.0], [1.0]]
    assert (list(both.clients), dict(both.failures)) == ([4, 1], {2: "why"})
    assert both.parameters["a"].tolist() == [[2.0, 3.0], [1.0, 1.0]]
    assert list(joined([]).clients) == []
