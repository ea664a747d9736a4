"""Groups, gaps and the worst decile by hand arithmetic."""

import json
import math

import numpy as np
import pytest

from fedrec.data.interactions import Users
from fedrec.data.split import Cases
from fedrec.evaluation.groups import activity_labels, compare_groups, worst_decile


def cases(lengths, users=None):
    return Cases(
        name="last",
        users=np.arange(len(lengths)) if users is None else np.array(users),
        histories=[np.arange(length) for length in lengths],
        targets=[np.array([99])] * len(lengths),
        excluded=0,
    )


def users_with(**attributes):
    return Users(ids=[str(u) for u in range(12)], attributes=attributes)


VALUES = {"ndcg@10": np.array([0.1] * 5 + [0.4] * 5 + [0.9] + [0.0])}
GENDER = ["F"] * 5 + ["M"] * 5 + ["X"] + [""]


def test_means_sizes_and_the_gap_of_groups():
    found = compare_groups(VALUES, cases([3] * 12), users_with(gender=GENDER), ["gender"]).groups["gender"]
    assert found.sizes == {"F": 5, "M": 5, "X": 1}
    assert found.unknown == 1
    assert found.means["ndcg@10"] == pytest.approx({"F": 0.1, "M": 0.4, "X": 0.9})
    assert found.gaps["ndcg@10"] == pytest.approx(0.4 - 0.1)  # X is too small to count


def test_one_large_group_has_no_gap():
    found = compare_groups(VALUES, cases([3] * 12), users_with(gender=["F"] * 11 + [""]), ["gender"])
    assert found.groups["gender"].gaps == {}


def test_attributes_are_looked_up_by_user_and_not_by_position():
    held_out = cases([3, 3], users=[11, 0])
    users = users_with(gender=["F"] + ["M"] * 10 + ["D"])
    found = compare_groups({"recall@5": np.array([0.25, 0.75])}, held_out, users, ["gender"])
    assert found.groups["gender"].means["recall@5"] == {"D": 0.25, "F": 0.75}


def test_an_attribute_the_data_lacks_is_reported_and_left_out():
    found = compare_groups(VALUES, cases([3] * 12), users_with(gender=GENDER), ["age", "gender"])
    assert found.missing == ("age",)
    assert list(found.groups) == ["gender"]


def test_an_attribute_unknown_for_everybody_has_no_groups():
    found = compare_groups(VALUES, cases([3] * 12), users_with(age=[""] * 12), ["age"]).groups["age"]
    assert (found.sizes, found.unknown, found.gaps) == ({}, 12, {})


def test_activity_cuts_the_lengths_of_histories_into_thirds():
    lengths = [3, 60, 1, 4, 50, 2]
    histories = [np.arange(length) for length in lengths]
    assert list(activity_labels(histories)) == ["mid", "high", "low", "mid", "high", "low"]


def test_equal_activity_shares_a_group():
    assert list(activity_labels([np.arange(4)] * 3)) == ["mid", "mid", "mid"]
    # the middle rank of the two is 1.5, where the second third of three begins
    assert list(activity_labels([np.arange(1), np.arange(1), np.arange(2)])) == ["mid", "mid", "high"]
    assert list(activity_labels([])) == []


def test_activity_is_a_group_like_any_other():
    found = compare_groups(VALUES, cases([2] * 5 + [30] * 5 + [9] * 2), users_with(), ["activity"])
    assert found.groups["activity"].sizes == {"high": 5, "low": 5, "mid": 2}
    assert found.groups["activity"].gaps["ndcg@10"] == pytest.approx(0.4 - 0.1)


def test_the_worst_decile_is_the_mean_of_the_lowest_tenth():
    assert worst_decile(np.arange(29.0)) == (0 + 1) / 2  # 2.9 rounds down to two users
    assert worst_decile(np.array([0.3, 0.2])) == 0.2  # at least one user
    assert worst_decile(np.array([np.nan, 0.5])) == 0.5
    assert math.isnan(worst_decile(np.array([])))


def test_the_report_is_plain_json():
    found = compare_groups(VALUES, cases([3] * 12), users_with(gender=GENDER), ["gender", "age"])
    summary = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert summary["missing"] == ["age"]
    assert summary["groups"]["gender"]["sizes"]["F"] == 5
    assert summary["worst_decile"]["ndcg@10"] == 0.0


def test_whoever_has_the_largest_error_is_served_worst():
    values = {"rmse": np.arange(12.0), "ndcg@10": np.arange(12.0)}
    found = compare_groups(values, cases([3] * 12), users_with(), [], errors={"rmse"}).worst_decile
    assert found == {"rmse": 11.0, "ndcg@10": 0.0}  # a tenth of 12 users is one
