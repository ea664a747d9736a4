"""Rows and words of a summary."""

import math

import pytest

from fedrec.reporting.reading import NOTHING, reading
from fedrec.reporting.run.tables import (
    Cell,
    control_rows,
    headline,
    metric_rows,
    shown_differences,
)
from fedrec.reporting.wording import bytes_text, count_text, epsilon_text, listed, metric_label, number, p_text
from tests.handmade import NEXT_ITEM

OFF = {"epsilon": math.inf, "trust": "none", "unit": "none", "statement": "Nothing is protected."}
ON = {"epsilon": 8.0, "delta": 0.0008, "trust": "local", "unit": "user", "statement": "User-level."}


def scores(last20, last, half=0.02):
    """A recommender's part of a summary; `half` is half the width of its intervals."""
    cases = {"last20": last20, "last": last}
    return {
        "test": {case: {"users": 189.0, "ndcg@10": value} for case, value in cases.items()},
        "intervals": {case: {"ndcg@10": [value - half, value + half]} for case, value in cases.items()},
    }


def control(last20, last, p_value=0.01, **more):
    return scores(last20, last) | {"p_value": {"last20": p_value, "last": p_value}, "note": ""} | more


def summary(own, controls, privacy=ON):
    return {
        "task": NEXT_ITEM,
        "dataset": {"name": "movielens-100k"},
        "split": {"private": 660, "test": 189},
        "federation": {"clients": 20},
        "model": {"name": "text_transformer", "base": "random"},
        "adapter": {"name": "lora", "parameters": 18_130},
        "rounds": 30,
        "metrics": {"test": own["test"]},
        "intervals": own["intervals"],
        "controls": controls,
        "privacy": privacy,
    }


def test_the_federated_row_is_first_known_controls_follow_in_their_order_and_strangers_by_name():
    found = control_rows(
        summary(scores(0.2, 0.05), {n: control(0.1, 0.01) for n in ("zeta", "random", "alpha", "ease", "base")})
    )
    assert [row.name for row in found] == ["federated", "base", "ease", "random", "alpha", "zeta"]
    assert [row.federated for row in found] == [True, False, False, False, False, False]
    assert [row.label for row in found][-2:] == ["alpha", "zeta"]


def test_a_row_holds_value_interval_p_value_and_whether_it_is_best():
    own, ease = control_rows(summary(scores(0.15, 0.05), {"ease": control(0.21, 0.02, 0.004, note="l2 300")}))
    assert own.cells["last20"].value == 0.15
    assert own.cells["last20"].interval == "[0.130, 0.170]"
    assert math.isnan(own.cells["last20"].p_value)
    assert ease.cells["last"].p_value == 0.004
    assert ease.note == "l2 300"
    assert {row.name: [row.cells[case].best for case in ("last20", "last")] for row in (own, ease)} == {
        "federated": [False, True],
        "ease": [True, False],
    }


def test_equal_scores_are_both_best_and_an_unknown_one_never_is():
    controls = {"ease": control(0.2, 0.05), "random": {"test": {"last20": {"ndcg@10": "nan"}, "last": None}}}
    own, ease, random = control_rows(summary(scores(0.2, 0.05), controls))
    assert own.cells["last20"].best
    assert ease.cells["last20"].best
    assert not random.cells["last20"].best
    assert not random.cells["last"].best
    assert math.isnan(random.cells["last"].value)
    assert random.cells["last"].interval == ""


def test_an_empty_summary_has_one_row_without_numbers():
    (row,) = control_rows({})
    assert row.federated
    assert all(math.isnan(cell.value) and not cell.best for cell in row.cells.values())
    assert metric_rows({}, "last") == []


def test_where_less_is_better_the_least_is_best_and_ahead():
    errors = {"target": "last20", "metric": "ndcg@10", "higher_is_better": False}
    run = summary(scores(0.9, 1.0), {"base": control(1.1, 0.95), "ease": control(0.8, 1.2)})
    run["task"] = NEXT_ITEM | {"headline": errors, "ranks": False}
    own, base, ease = control_rows(run)
    assert [row.cells["last20"].best for row in (own, base, ease)] == [False, False, True]
    assert own.cells["last20"].against(base.cells["last20"].value) == "better"
    assert own.cells["last"].against(base.cells["last"].value) == "worse"
    words = headline(run)
    assert "was judged on 189 test users" in words
    assert "EASE still wins on the last 20 %" in words
    assert "EASE still wins on the last item" not in words


def test_metric_rows_line_up_with_the_control_rows():
    run = summary(scores(0.2, 0.05), {"ease": {"test": {"last": {"ndcg@10": 0.02, "hit_rate@10": 0.1}}}})
    (first, ndcg), (second, hits) = metric_rows(run, "last")
    assert (first, ndcg) == ("NDCG@10", [0.05, 0.02])
    assert (second, hits[1]) == ("HR@10", 0.1)
    assert math.isnan(hits[0])


@pytest.mark.parametrize(
    ("low", "high", "base", "expected"),
    [
        (0.1, 0.2, 0.09, "better"),
        (0.1, 0.2, 0.1, "level"),
        (0.1, 0.2, 0.2, "level"),
        (0.1, 0.2, 0.21, "worse"),
        (math.nan, 0.2, 0.0, "unknown"),
        (0.1, 0.2, math.nan, "unknown"),
    ],
)
def test_a_difference_counts_beyond_the_interval(low, high, base, expected):
    assert Cell(0.15, low, high, math.nan, best=False).against(base) == expected


def test_the_headline_says_what_was_asked_and_what_came_out():
    words = headline(summary(scores(0.153, 0.06), {"base": control(0.09, 0.05)}))
    assert words.startswith("20 clients, with 660 users between them, trained the adapter lora (18,130 parameters)")
    assert "for 30 rounds on movielens-100k" in words
    assert "189 test users it had never seen" in words
    assert "Its NDCG@10 is 0.153 [0.133, 0.173] on the last 20 % and 0.060 [0.040, 0.080] on the last item" in words
    assert "base before federation (random weights) scores 0.090" in words
    assert "better beyond its interval on the last 20 % and no different within its interval on the last item" in words
    assert "user-level differential privacy with epsilon 8.000 at delta 0.0008 under local trust" in words
    assert "cost everything" not in words


def test_privacy_that_leaves_nothing_over_the_base_cost_everything():
    words = headline(summary(scores(0.1, 0.05), {"base": control(0.09, 0.05), "central": control(0.2, 0.1)}))
    assert "Privacy at this population cost everything: the private model is not better than its base." in words
    assert "only cause" not in words


def test_a_private_model_below_its_base_is_called_worse():
    words = headline(summary(scores(0.02, 0.01), {"base": control(0.09, 0.05)}))
    assert "worse beyond its interval on the last 20 % and the last item" in words
    assert "cost everything" in words


def test_privacy_is_not_blamed_alone_where_central_training_gains_nothing_either():
    words = headline(summary(scores(0.1, 0.05), {"base": control(0.1, 0.05), "central": control(0.1, 0.05)}))
    assert "cost everything" in words
    assert "privacy may not be the only cause" in words


def test_two_test_users_cannot_tell_what_privacy_costs():
    own = scores(0.1, 0.05)
    own["test"]["last20"]["users"] = own["test"]["last"]["users"] = 2.0
    words = headline(summary(own, {"base": control(0.12, 0.06)}))
    assert "scores 0.120 [0.100, 0.140] on the last 20 %" in words
    assert "; 2 test users cannot tell whether training gained or lost anything." in words
    for verdict in ("cost everything", "beyond its interval", "gained nothing"):
        assert verdict not in words
    own["test"]["last20"]["users"] = own["test"]["last"]["users"] = 30.0
    assert "cost everything" in headline(summary(own, {"base": control(0.12, 0.06)}))


def test_without_privacy_nobody_blames_it():
    words = headline(summary(scores(0.1, 0.05), {"base": control(0.1, 0.05)}, OFF))
    assert "Training gained nothing over its base." in words
    assert "cost everything" not in words
    assert words.endswith("Privacy is off: nothing is protected.")


def test_without_an_interval_there_is_no_verdict():
    words = headline(summary(scores(0.1, 0.05, math.nan), {"base": control(0.2, 0.09)}))
    assert "without an interval, so without a verdict, on the last 20 % and the last item" in words
    assert "cost everything" not in words


def test_what_still_wins_is_named_with_its_p_value():
    controls = {"ease": control(0.21, 0.02, 0.0001), "popularity": control(0.16, 0.018, 0.3)}
    words = headline(summary(scores(0.153, 0.06), controls))
    assert "EASE still wins on the last 20 % (Holm-corrected p < 0.001)." in words
    assert "Popularity is ahead on the last 20 %, though not beyond chance (Holm-corrected p = 0.300)." in words
    assert "wins on the last item" not in words
    assert "what training added is not known" in words


def test_an_untested_lead_is_called_untested():
    words = headline(summary(scores(0.1, 0.06), {"ease": control(0.2, 0.01, None)}))
    assert "EASE is ahead on the last 20 % (not tested)." in words


def test_of_the_other_recommenders_fitted_on_all_data_the_answer_names_the_best_of_each_target():
    controls = {
        "popularity": control(0.1, 0.01),
        "linear_sum": control(0.14, 0.05),
        "ease_recency": control(0.12, 0.04),
        "linear_next_item": control(0.11, 0.07),
    }
    words = headline(summary(scores(0.15, 0.06), controls))
    assert "Popularity 0.100 and 0.010; EASE + next item 0.140 and 0.050; Linear next item" in words
    assert "EASE, fading history" not in words
    assert "Linear next item still wins on the last item" in words


def test_what_is_behind_and_what_central_training_reaches_is_said():
    controls = {"ease": control(0.1, 0.02), "popularity": control(0.1, 0.01), "central": control(0.2, 0.08)}
    words = headline(summary(scores(0.15, 0.06), controls))
    assert "Nowhere ahead of it: Popularity and EASE." in words
    assert "the same model trained centrally without privacy 0.200 and 0.080" in words


def test_a_run_without_scores_or_privacy_claims_nothing():
    words = headline({})
    assert "an unrecorded number of clients" in words
    assert "nothing can be said of its quality" in words
    assert words.endswith("No privacy statement is recorded.")


def test_a_case_that_was_not_scored_is_not_mentioned():
    own = scores(0.15, 0.06)
    del own["test"]["last"]
    run = summary(own, {"base": control(0.1, 0.05)})
    assert reading(run).targets == {"last20": "the last 20 %"}
    assert [list(row.cells) for row in control_rows(run)] == [["last20"], ["last20"]]
    both = {"last20": "the last 20 %", "last": "the last item"}
    assert reading(run, summary(scores(0.15, 0.06), {})).targets == reading({"task": NEXT_ITEM}).targets == both
    assert reading({}, None) == NOTHING
    words = headline(run)
    assert "on the last 20 %" in words
    assert "last item" not in words


@pytest.mark.parametrize(("raw", "expected"), [(1, 1.0), ("inf", math.inf), (0.5, 0.5)])
def test_numbers_are_read_as_json_wrote_them(raw, expected):
    assert number(raw) == expected


@pytest.mark.parametrize("raw", [None, "nan", "word", {}, [1]])
def test_what_is_no_number_is_nan(raw):
    assert math.isnan(number(raw))


def test_numbers_for_people():
    assert [p_text(p) for p in (0.0004, 0.001, 0.04, 1.0, math.nan)] == ["< 0.001", "0.001", "0.040", "1.000", "—"]
    assert [bytes_text(n) for n in (0, 999, 72_500, 43_512_000, 2e9, None)] == [
        "0 B",
        "999 B",
        "72.5 kB",
        "43.5 MB",
        "2.0 GB",
        "—",
    ]
    assert [count_text(n, "user") for n in (0, 1, 1682)] == ["0 users", "1 user", "1,682 users"]
    assert [epsilon_text(e) for e in (7.9991, "inf", None)] == ["8.000", "none", "none"]
    assert [listed(texts) for texts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert [metric_label(m) for m in ("hit_rate@5", "map@10", "coverage@20", "odd_one")] == [
        "HR@5",
        "MAP@10",
        "Coverage@20",
        "Odd one",
    ]


def test_a_run_that_its_budget_ended_says_so():
    asked = summary(scores(0.2, 0.05), {})
    assert "privacy.budget" not in headline(asked | {"rounds_run": 30})
    assert "It ended after 12 rounds: one more would have exceeded privacy.budget." in headline(
        asked | {"rounds_run": 12}
    )


def test_another_populations_noise_is_labelled_before_any_epsilon():
    there = {"population": 66_000, "epsilon": 7.9991}
    told = headline(summary(scores(0.2, 0.05), {}, ON | {"epsilon": 950.0, "extrapolated": there}))
    assert "EXTRAPOLATED: the noise is that of a population of 66,000 units, which would have epsilon 8.000" in told
    assert told.index("EXTRAPOLATED") < told.index("950")


def test_under_the_controls_stands_what_differences_they_can_show():
    shown = [{"minimal_difference": {"last20": least, "last": None}} for least in (0.0123, 0.03)]
    found = summary(scores(0.2, 0.05), {"ease": control(0.1, 0.01, **shown[0]), "base": control(0.1, 0.01, **shown[1])})
    assert shown_differences(found).endswith("(two-sided 5 %, one at a time): 0.012 to 0.030 on the last 20 %.")
    assert shown_differences(summary(scores(0.2, 0.05), {})) == ""
