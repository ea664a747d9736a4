"""The frontier, from hand-made trials: curves, references, table and page; its cost has a file of its own."""

import io
import json
import math
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fedrec.evaluation.statistics.significance import holm
from fedrec.experiment.config import canonical_json
from fedrec.reporting.frontier.as_json import frontier_json
from fedrec.reporting.frontier.cost import cost_of
from fedrec.reporting.frontier.differences import differences, least_shown, reference_of
from fedrec.reporting.frontier.figures import against_epsilon, frontier_charts, infinity_at, readable
from fedrec.reporting.frontier.page import answer, render_frontier
from fedrec.reporting.frontier.points import (
    Measure,
    TrialResult,
    best_of,
    frontier,
    groups_of,
    references,
    value_text,
)
from fedrec.reporting.frontier.table import table_of, timings_of, write_table
from fedrec.reporting.judged import Judged
from fedrec.reporting.reading import reading
from tests.unit.reporting.made_trials import (
    APART,
    ERROR,
    LAST20,
    NDCG,
    T_OF_3,
    judged,
    summary,
    trial,
)

# curves


def test_a_point_is_the_mean_over_users_and_seeds() -> None:
    (curve,) = frontier([trial(0.1, 8.0), trial(0.2, 8.0, 1), trial(0.3, 8.0, 2), trial(0.4, math.inf)])
    private, without = curve.points
    # the same four users three times: U = ERROR^2 and W = U / 3 = C / 2; the means .1, .2, .3 have the variance .01
    found = private.estimate(LAST20)
    assert found.mean == pytest.approx(0.2)
    assert found.error == pytest.approx(math.sqrt(ERROR**2 + 0.01 / 3))
    assert (found.users, private.splits, private.seeds) == (4, 1, 3)
    assert (private.epsilon, without.epsilon, curve.without_privacy) == (8.0, math.inf, without)
    alone = without.estimate(LAST20).interval
    assert (alone.mean, alone.high) == (pytest.approx(0.4), pytest.approx(0.4 + T_OF_3 * ERROR))


def test_split_seed_repeats_a_point_as_seed_does() -> None:
    results = [trial(0.1 + 0.1 * split, 8.0, seed, split_seed=split) for split in (0, 1) for seed in (0, 1)]
    (curve,) = frontier(results)
    (point,) = curve.points
    assert (curve.label, point.splits, point.seeds, point.setting) == ("", 2, 2, {"privacy.epsilon": 8.0})
    # other users in the other split: U = W = 2 * (ERROR / 2)^2; the means .1 and .2 have the variance .005
    found = point.estimate(LAST20)
    assert (found.mean, found.users, found.splits) == (pytest.approx(0.15), 8, 2)
    assert found.error == pytest.approx(math.sqrt(0.005 / 2))


def test_a_trial_that_kept_no_users_values_has_a_mean_and_no_interval() -> None:
    (curve,) = frontier([replace(trial(0.1, 8.0), judged=None), trial(0.2, 8.0, 1)])
    found = curve.points[0].estimate(LAST20)
    assert (found.mean, found.users, math.isnan(found.interval.low)) == (pytest.approx(0.15), 0, True)
    results = list(curve.points[0].results)
    assert "1 of the trials kept no test user's own values" in " ".join(
        answer(results, [curve], reading(results[0].summary))
    )


def test_every_setting_but_seed_and_epsilon_is_a_curve_of_its_own_with_ascending_epsilon() -> None:
    results = [trial(0.1, at, clip=clip) for clip in (1.0, 0.5) for at in (math.inf, 1.0, 8.0)]
    curves = frontier(results)
    assert [curve.label for curve in curves] == ["clip 1", "clip 0.5"]
    assert [[point.epsilon for point in curve.points] for curve in curves] == [[1.0, 8.0, math.inf]] * 2


def test_a_point_claims_the_worst_of_its_seeds() -> None:
    one, other = trial(0.1, 7.9), trial(0.1, 8.0, 1)
    (curve,) = frontier([replace(one, point={**one.point, "privacy.epsilon": 8.0}), other])
    assert [point.epsilon for point in curve.points] == [8.0]


def test_noise_given_instead_of_epsilon_lies_on_one_curve() -> None:
    results = [
        TrialResult(str(noise), {"privacy.noise_multiplier": noise}, 0, "", "", summary(0.1, claimed))
        for noise, claimed in ((1.0, 9.0), (2.0, 4.0))
    ]
    (curve,) = frontier(results)
    assert [point.epsilon for point in curve.points] == [4.0, 9.0]


def test_an_unfinished_trial_is_in_no_curve() -> None:
    assert frontier([replace(trial(0.1, 8.0), summary=None)]) == []


def test_groups_too_small_to_compare_have_no_score() -> None:
    one = trial(0.2, 8.0)
    assert groups_of([one], "last20") == {"activity": ["low", "high"]}
    by_name = {name: Measure("last20", NDCG, group=("activity", name)) for name in ("low", "high", "mid")}
    scores = {name: measure.of(one.summary) for name, measure in by_name.items()}
    assert (scores["low"], scores["high"], math.isnan(scores["mid"])) == (0.1, 0.2, True)
    # of the four users the first two: .17 and .19
    low = frontier([one])[0].points[0].estimate(by_name["low"])
    assert (low.mean, low.users) == (pytest.approx(0.18), 2)
    assert math.isnan(frontier([one])[0].points[0].estimate(by_name["mid"]).mean)


def test_references_are_the_open_federation_and_the_controls_and_equal_ones_share_a_line() -> None:
    results = [
        trial(0.2, math.inf, 0, clip=1),
        trial(0.3, math.inf, 1, clip=1),
        trial(0.1, 8.0, 0, clip=1),
        trial(0.1, 8.0, 0, clip=2, central=0.4),
    ]
    assert references(frontier(results), "last20", NDCG) == [
        ("Federation without privacy, clip 1", pytest.approx((0.2 + 0.3) / 2)),
        ("Base before federation", 0.05),
        ("Central training, no privacy, clip 1", pytest.approx(0.3)),
        ("Central training, no privacy, clip 2", pytest.approx(0.4)),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (0.5, "0.5"), (0.12345678, "0.12345678"), (math.inf, "inf"), (["a", 1], "[a, 1]"), ("x", "x")],
)
def test_a_value_is_shown_whole(value: Any, text: str) -> None:
    assert value_text(value) == text


# charts


def test_infinity_stands_at_the_right_end_of_a_logarithmic_axis() -> None:
    (curve,) = frontier([trial(0.1, 1.0), trial(0.2, 8.0), trial(0.3, math.inf)])
    spec = frontier_charts([curve], NDCG)[0].spec
    axis, (line, *levels) = spec["layout"]["xaxis"], spec["data"]
    assert (axis["type"], axis["tickvals"], axis["ticktext"]) == ("log", [1.0, 8.0, 24.0], ["1", "8", "∞"])
    assert (line["x"], line["y"]) == ([1.0, 8.0, 24.0], pytest.approx([0.1, 0.2, 0.3]))
    assert [level["name"] for level in levels] == [
        "Federation without privacy",
        "Base before federation",
        "Central training, no privacy",
    ]
    assert axis["range"][0] < math.log10(1.0) < math.log10(24.0) < axis["range"][1]


def test_without_a_finite_epsilon_there_is_only_infinity() -> None:
    assert infinity_at([]) == 1.0
    (curve,) = frontier([trial(0.3, math.inf)])
    assert frontier_charts([curve], NDCG)[1].spec["data"][0]["x"] == [1.0]


def test_a_chart_escapes_what_comes_from_data() -> None:
    assert against_epsilon("", "", [("<b>", [])], [], "").spec["data"][0]["name"] == "&lt;b&gt;"


# table


def parquet(results: list[TrialResult], file: Path) -> bytes:
    write_table(file, table_of(results))
    return file.read_bytes()


def test_every_byte_of_the_table_is_the_same_in_whatever_order_trials_finished(tmp_path: Path) -> None:
    results = [trial(0.1, 10.0, 0), trial(0.2, 9.0, 1), trial(0.3, math.inf, 0)]
    tables = {parquet(list(order), tmp_path / "trials.parquet") for order in permutations(results)}
    assert len(tables) == 1
    found = pl.read_parquet(io.BytesIO(tables.pop()))
    assert found["privacy.epsilon"].to_list() == [9.0, 10.0, math.inf], "as numbers, not as words"
    assert found["test.last20.ndcg@10"].to_list() == [0.2, 0.1, 0.3]
    assert found["test.last20.ndcg@10.low"].to_list() == pytest.approx([0.19, 0.09, 0.29])
    assert found["group.last20.activity.low.ndcg@10"].to_list() == [0.1, 0.05, 0.15]
    assert found["control.central.last.ndcg@10"].to_list() == [0.3] * 3
    assert found["claim.releases_per_unit"].to_list() == [20] * 3
    assert (found["point.splits"].to_list(), found["point.seeds"].to_list()) == ([1] * 3, [1] * 3)
    assert found["point.last20.ndcg@10.users"].to_list() == [4] * 3
    assert found["point.last20.ndcg@10.high"].to_list() == pytest.approx([v + T_OF_3 * ERROR for v in (0.2, 0.1, 0.3)])
    assert found["point.last20.ndcg@10.minimal_difference"].to_list() == pytest.approx([0.0] * 3, abs=1e-9)
    assert not [name for name in found.columns if "timing" in name or "rounds" in name]


def test_a_missing_trial_has_a_row_and_no_numbers() -> None:
    found = table_of([replace(trial(0.1, 1.0), summary=None), trial(0.2, 2.0)])
    assert found["state"].to_list() == ["missing", "finished"]
    assert found["test.last.ndcg@10"].to_list() == [None, 0.05]
    assert found["point.splits"].to_list() == [None, 1]
    assert timings_of([trial(0.2, 2.0)])["rounds"].to_list() == [pytest.approx(0.7)]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([2, 1], [1, 2]),
        ([2, 0.5], [0.5, 2.0]),
        (["b", "a"], ["a", "b"]),
        ([["b"], ["a", "c"]], ['["a","c"]', '["b"]']),
        ([True, False], [False, True]),
    ],
)
def test_a_varied_key_has_a_column_of_its_kind(values: list[Any], kept: list[Any]) -> None:
    results = [TrialResult(str(value), {"key": value}, 0, "", "", None) for value in values]
    assert table_of(results)["key"].to_list() == kept


# page


def test_the_page_holds_what_it_promises() -> None:
    results = [
        trial(0.123, 1.0, 0, clip="<b>"),
        trial(0.125, 1.0, 1, clip="<b>"),
        trial(0.2, math.inf, 0, clip="<b>"),
        replace(trial(0.1, 4.0, clip="<b>"), summary=None),
    ]
    cost = cost_of(results, {})
    page = render_frontier(
        "mine", results, [{"trial": "epsilon 4", "message": "<script>no</script>"}], cost, "seed = 0\n"
    )
    for text in (
        "mine</h1>",
        "4 trials over clip, privacy.epsilon and seed",
        "3 of 4 trials finished.",
        # (0.123 + 0.125) / 2, and 3.16 * sqrt(.0129^2 + .001^2) to each side; 3.18 * .0129 of a single seed
        "NDCG@10 on the last 20 % is 0.124 [0.083, 0.165] at epsilon 1.000, 0.200 [0.159, 0.241] without privacy.",
        "The validation users like this best: clip &lt;b&gt; without privacy.",
        "Base before federation</td>",
        "A true difference that a comparison here finds four times in five",
        "&lt;script&gt;no&lt;/script&gt;",
        "Trials on the same users compose",
        "NDCG@10 against epsilon, the last 20 %",
        "Federation without privacy, clip \\u003cb\\u003e",
        "By activity",
        '/report.html">',
        "not finished",
        "seed = 0",
        "Content-Security-Policy",
        "Plotly.newPlot",
    ):
        assert text in page or text.replace("\\u003cb\\u003e", "\\u0026lt;b\\u0026gt;") in page, text
    assert "<b>," not in page
    assert "src=" not in page.replace("src=\\", "").partition("<script>!")[0].partition("plotly.js")[0]


def test_the_page_of_nothing_finished_is_a_page() -> None:
    nothing = [replace(trial(0.1, 1.0), summary=None)]
    page = render_frontier("mine", nothing, [], cost_of(nothing, {}), "")
    assert "0 of 1 trials finished." in page
    assert answer(nothing, [], reading()) == ["0 of 1 trials finished."]


def test_a_case_that_no_trial_was_scored_on_is_neither_told_nor_drawn() -> None:
    scored = trial(0.2, 8.0)
    alone = {"test": {"last20": {NDCG: 0.2}}}
    without = replace(scored, summary={**(scored.summary or {}), "metrics": alone})
    (point,) = frontier_json(frontier([without]), reading(without.summary))["frontier"]
    assert "last20" in point
    assert "last" not in point
    (chart,) = frontier_charts(frontier([without]), NDCG)
    assert "the last 20 %" in chart.title
    assert "the last item" not in render_frontier("x", [without], [], cost_of([without], {}), "")
    # one trial that was scored on it is enough
    assert len(frontier_charts(frontier([without, trial(0.3, math.inf)]), NDCG)) == 2


def test_points_are_there_for_programs() -> None:
    results = [trial(0.2, 8.0), trial(0.22, 8.0, 1), trial(0.1, 1.0)]
    told = frontier_json(frontier(results), reading(*(one.summary for one in results)))
    one, eight = told["frontier"]
    assert (eight["epsilon"], eight["splits"], eight["seeds"], eight["metric"]) == (8.0, 1, 2, NDCG)
    assert (eight["last20"]["mean"], eight["last20"]["users"]) == (pytest.approx(0.21), 4)
    against, base = eight["differences"]
    # only seed 0 is there for both, and every user gained the same
    assert (against["against"], against["last20"]["mean"]) == ("Federated at epsilon 1.000", pytest.approx(0.1))
    assert (base["against"], base["last20"]["mean"]) == ("Base before federation", pytest.approx(0.16))
    assert [row["against"] for row in one["differences"]] == ["Base before federation"], "it is the reference"
    assert told["minimal_difference"].keys() == {"last", "last20"}
    assert told["best"]["trials"] == eight["trials"]
    json.loads(canonical_json(told))


def test_all_comparisons_of_a_sweep_are_corrected_together() -> None:
    results = [trial(0.1, 1.0), replace(trial(0.2, 8.0), judged=spread())]
    rows = differences(frontier(results), reading(*(one.summary for one in results)))
    # against the reference and both against their base, on two targets
    found = [row.by_target[target] for row in rows for target in ("last20", "last")]
    assert len(found) == 6
    assert [one.p_holm for one in found] == pytest.approx(holm([one.found.p_value for one in found]))
    assert least_shown(rows, {"last20": "the last 20 %"}).endswith("on the last 20 %.")
    assert least_shown([], {"last20": "the last 20 %"}) == ""


def spread() -> Judged:
    """Return users who gained unequally over those of `judged(0.1)`."""
    found = judged(0.2)
    return Judged(
        {
            **found.values,
            "federated": {of: (u, {NDCG: v[NDCG] + 2 * APART}) for of, (u, v) in found.values["federated"].items()},
        },
        found.groups,
    )


def test_settings_are_compared_with_the_one_that_the_others_change_least() -> None:
    # an ablation: clip 1 and rate .1 unchanged, each changed once; it is neither the first nor the least
    changed = [
        trial(0.1, 8.0, clip=clip, rate=rate) for clip, rate in ((0.5, 0.1), (1.0, 0.05), (1.0, 0.1), (1.0, 0.2))
    ]
    points = [point for curve in frontier(changed) for point in curve.points]
    assert reference_of(points).setting == {"privacy.epsilon": 8.0, "clip": 1.0, "rate": 0.1}
    grid = [point for curve in frontier([trial(0.1, at) for at in (8.0, 1.0, 4.0)]) for point in curve.points]
    assert reference_of(grid).epsilon == 1.0, "the first of several"


def test_other_test_users_are_not_compared() -> None:
    results = [trial(0.1, 1.0), replace(trial(0.2, 8.0), split="of other data")]
    rows = differences(frontier(results), reading(*(one.summary for one in results)))
    assert [row.against for row in rows] == ["Base before federation"] * 2


def test_the_best_point_is_the_validation_users_and_never_the_test_users() -> None:
    def told(test: float, validation: float, seed: int, clip: float) -> TrialResult:
        one = trial(test, 8.0, seed, clip=clip)
        metrics = {"test": {"last20": {NDCG: test}}, "validation": {"last20": {NDCG: validation}}}
        return replace(one, summary={**(one.summary or {}), "metrics": metrics})

    # the test users prefer clip 1; the validation users clip 2, .25 to .2 in the mean of two seeds
    results = [told(0.9, 0.1, 0, 1.0), told(0.9, 0.3, 1, 1.0), told(0.2, 0.2, 0, 2.0), told(0.2, 0.3, 1, 2.0)]
    read = reading(results[0].summary)
    best = best_of(frontier(results), read)
    assert best is not None
    assert best[0].label == "clip 2"
    silent = [replace(one, summary={**(one.summary or {}), "metrics": {"test": {}}}) for one in results]
    assert best_of(frontier(silent), read) is None
    assert best_of([], read) is None


# another population's noise


def test_an_extrapolated_trial_is_a_curve_of_its_own_name_and_costs_what_its_own_users_pay() -> None:
    own, far = trial(0.1, 8.0), trial(0.2, 8.0, 1)
    assert far.summary is not None
    there = {"population": 66_000, "epsilon": 7.99}
    far = replace(
        far, summary={**far.summary, "privacy": {**far.summary["privacy"], "epsilon": 950.0, "extrapolated": there}}
    )
    mine, extrapolated = frontier([own, far])
    assert (mine.label, extrapolated.label) == ("", "EXTRAPOLATED to 66,000 units")
    assert extrapolated.points[0].epsilon == 7.99
    assert cost_of([own, far], {}).units["user"].epsilon == 8.0 + 950.0
    row = table_of([far]).row(0, named=True)
    assert (row["claim.epsilon"], row["claim.extrapolated.population"]) == (950.0, 66_000)
    assert row["claim.extrapolated.epsilon"] == 7.99
    assert "EXTRAPOLATED to 66,000 units" in render_frontier("far", [far], [], cost_of([far], {}), "")


def test_claims_of_one_target_share_a_tick() -> None:
    assert readable([1.0, 7.99, 7.995, 7.998, 15.98]) == [1.0, 7.99, 15.98]
    assert readable([]) == []
