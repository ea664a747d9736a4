import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Error, MetricRecord, RecordDict

from server.aggregation.replies import LONGEST_DETAIL, Rejection, Wanted, check_replies, in_words
from tests.tiny import reply, sent_by

BEFORE = {"w": np.array([1.0, 2.0], dtype=np.float32)}


def checked(*replies, max_norm=10.0):
    return check_replies(replies, Wanted(BEFORE, max_norm))


def test_an_update_is_after_minus_before_in_the_clients_order():
    updates, rejections = checked(reply(3, 1.5, 2.0, examples=7), reply(0, 1.0, 1.0, examples=2))
    assert [update.client for update in updates] == [0, 3]
    np.testing.assert_array_equal(updates[0].delta["w"], [1.0 - 1.0, 1.0 - 2.0])
    np.testing.assert_array_equal(updates[1].delta["w"], [1.5 - 1.0, 2.0 - 2.0])
    assert [update.weight for update in updates] == [2.0, 7.0]
    assert rejections == []


def test_nobody_answering_is_no_update_and_no_rejection():
    assert checked() == ([], [])


def broken(arrays=None, metrics=None):
    records = {} if arrays is None else {"arrays": ArrayRecord({n: Array(np.array(v)) for n, v in arrays.items()})}
    return RecordDict(records | ({} if metrics is None else {"metrics": MetricRecord(metrics)}))


GOOD = {"w": np.zeros(2, dtype=np.float32)}


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (Error(0, "ValueError: no\n  rows"), "client failed", "ValueError: no rows"),
        (Error(0, ""), "client failed", "no reason given"),
        (RecordDict(), "unreadable", "lacks arrays or num-examples"),
        (broken(GOOD), "unreadable", "num-examples"),
        (broken(GOOD, {"num-examples": [1, 2]}), "unreadable", "could not convert"),
        (broken(GOOD, {"num-examples": -1.0}), "bad weight", "num-examples is -1"),
        (broken(GOOD, {"num-examples": float("nan")}), "bad weight", "num-examples is nan"),
        (broken(GOOD, {"num-examples": float("inf")}), "bad weight", "num-examples is inf"),
        (broken({}, {"num-examples": 1}), "wrong shape", "missing ['w'], unexpected nothing"),
        (broken({**GOOD, "v": [1.0]}, {"num-examples": 1}), "wrong shape", "missing nothing, unexpected ['v']"),
        (
            broken({"w": np.zeros(3, dtype=np.float32)}, {"num-examples": 1}),
            "wrong shape",
            "w is float32[3], sent float32[2]",
        ),
        (broken({"w": np.zeros(2)}, {"num-examples": 1}), "wrong shape", "w is float64[2], sent float32[2]"),
        (
            broken({"w": np.array([0, np.nan], dtype=np.float32)}, {"num-examples": 1}),
            "not finite",
            "NaN or infinity in w",
        ),
        (broken({"w": np.array([0, np.inf], dtype=np.float32)}, {"num-examples": 1}), "not finite", "infinity in w"),
        (broken({"w": np.array([1, 12.5], dtype=np.float32)}, {"num-examples": 1}), "too long", "norm 10.5 is above"),
        (broken({"w": np.array([3e38, -3e38], dtype=np.float32)}, {"num-examples": 1}), "too long", "is above"),
    ],
)
def test_a_bad_reply_is_rejected_with_its_reason(content, reason, detail):
    updates, (rejection,) = checked(sent_by(5, content))
    assert updates == []
    assert (rejection.client, rejection.reason) == (5, reason)
    assert detail in rejection.detail


PAYLOAD = {"control": np.zeros((1, 2), dtype=np.float32)}


def with_extras(**extras):
    content = broken(GOOD, {"num-examples": 1})
    content["extras"] = ArrayRecord({name: Array(np.array(value, np.float32)) for name, value in extras.items()})
    return sent_by(5, content)


def test_a_payload_comes_with_its_update():
    (update,), rejections = check_replies([with_extras(control=[[3, 4]])], Wanted(BEFORE, 10.0, PAYLOAD))
    assert update.extras["control"].tolist() == [[3.0, 4.0]]
    assert rejections == []


@pytest.mark.parametrize(
    ("content", "payload", "reason", "detail"),
    [
        (with_extras(control=[[3, 4]]), {}, "wrong shape", "missing nothing, unexpected ['control']"),
        (
            sent_by(5, broken(GOOD, {"num-examples": 1})),
            PAYLOAD,
            "wrong shape",
            "missing ['control'], unexpected nothing",
        ),
        (with_extras(control=[3, 4]), PAYLOAD, "wrong shape", "control is float32[2], sent float32[1, 2]"),
        (with_extras(control=[[3, np.nan]]), PAYLOAD, "not finite", "NaN or infinity in control"),
    ],
)
def test_a_payload_that_was_not_announced_or_cannot_be_used_is_rejected(content, payload, reason, detail):
    updates, (rejection,) = check_replies([content], Wanted(BEFORE, 10.0, payload))
    assert (updates, rejection.reason, rejection.detail) == ([], reason, detail)


def test_bytes_that_are_no_array_are_unreadable():
    arrays = ArrayRecord({"w": Array(dtype="float32", shape=(2,), stype="numpy.ndarray", data=b"\x93NUMPY junk")})
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1})})
    _, (rejection,) = checked(sent_by(0, content))
    assert rejection.reason == "unreadable"


def test_an_update_exactly_as_long_as_allowed_is_accepted():
    updates, _ = checked(reply(0, 1.0, 2.0 + 10.0), max_norm=10.0)
    assert len(updates) == 1


def test_where_no_length_is_too_long_only_what_is_not_finite_is_rejected():
    far = sent_by(1, broken({"w": np.array([3e38, -3e38], dtype=np.float32)}, {"num-examples": 1}))
    updates, rejections = checked(reply(0, 1.0, 2e30), reply(2, 1.0, np.nan), max_norm=np.inf)
    assert ([update.client for update in updates], [bad.reason for bad in rejections]) == ([0], ["not finite"])
    before = {"w": np.array([-3e38, 3e38], dtype=np.float32)}
    assert check_replies([far], Wanted(before))[1] == [Rejection(1, "not finite", "NaN or infinity in w")]


def test_a_clients_endless_complaint_is_cut():
    _, (rejection,) = checked(sent_by(0, Error(0, "x" * 10_000)))
    assert len(rejection.detail) == LONGEST_DETAIL


def test_rejections_in_words_name_three_and_count_the_rest():
    rejections = [Rejection(client, "no reply", "silence") for client in range(5)]
    assert in_words(rejections) == "; ".join(f"client {c}: no reply (silence)" for c in range(3)) + "; and 2 more"
    assert in_words([]) == "nobody else was asked"
