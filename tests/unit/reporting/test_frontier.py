"""The frontier, from hand-made trials: curves, references, cost, table and page."""

import io
import json
import math
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fedrec.experiment.config import canonical_json
from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.accounting.tuning import epsilon_of_best
from fedrec.reporting.frontier.cost import cost_of
from fedrec.reporting.frontier.figures import against_epsilon, frontier_charts, infinity_at, readable
from fedrec.reporting.frontier.page import answer, render_frontier
from fedrec.reporting.frontier.points import (
    TrialResult,
    frontier,
    group_score,
    groups_of,
    points_json,
    references,
    score,
    value_text,
)
from fedrec.reporting.frontier.table import table_of, timings_of, write_table
from fedrec.reporting.reading import reading
from tests.handmade import NEXT_ITEM

NDCG = "ndcg@10"
T_OF_3 = 4.302652729911275
"""Student's t at 97.5 % with 2 degrees of freedom, as in any table."""


def summary(value: float, claimed: float, central: float = 0.3, noise_key: str = "fresh") -> dict[str, Any]:
    """Return the `summary.json` of a trial, as read from its file."""
    groups = {
        "activity": {
            "sizes": {"low": 9, "high": 9, "mid": 4},
            "means": {NDCG: {"low": value / 2, "high": value, "mid": 1}},
        }
    }
    scores = {case: {NDCG: number} for case, number in (("last20", value), ("last", value / 4))}
    found = {
        "parameters_sha256": "ab",
        "task": NEXT_ITEM,
        "chosen_round": 2,
        "metrics": {"test": scores, "validation": scores},
        "intervals": {"last20": {NDCG: [value - 0.01, value + 0.01]}},
        "groups": {"last20": {"groups": groups}},
        "controls": {
            name: {"test": {case: {NDCG: level} for case in ("last20", "last")}}
            for name, level in (("base", 0.05), ("central", central))
        },
        "privacy": {
            "epsilon": claimed,
            "delta": 1e-3,
            "unit": "user",
            "trust": "local",
            "releases_per_unit": 20,
            "noise_key": noise_key,
        },
        "timing": {"rounds": 3.5 * value},
    }
    return json.loads(canonical_json(found))


def trial(value: float, claimed: float, seed: int = 0, central: float = 0.3, **point: Any) -> TrialResult:
    whole = {"privacy.epsilon": claimed, "seed": seed, **{key.replace("__", "."): v for key, v in point.items()}}
    name = " ".join(f"{key}={value_text(entry)}" for key, entry in whole.items())
    return TrialResult(name, whole, seed, name, f"trials/{name}", summary(value, claimed, central))


# curves


def test_a_point_is_the_mean_over_seeds_with_students_interval() -> None:
    (curve,) = frontier([trial(0.1, 8.0), trial(0.2, 8.0, 1), trial(0.3, 8.0, 2), trial(0.4, math.inf)])
    private, without = curve.points
    found = private.over_seeds(score("last20", NDCG))
    # s = 0.1, so the half width is t * 0.1 / sqrt(3)
    assert found.mean == pytest.approx(0.2)
    assert found.high - found.mean == pytest.approx(T_OF_3 * 0.1 / math.sqrt(3))
    assert (private.epsilon, without.epsilon, curve.without_privacy) == (8.0, math.inf, without)
    alone = without.over_seeds(score("last", NDCG))
    assert (alone.mean, math.isnan(alone.low)) == (pytest.approx(0.1), True)


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
    scores = {name: group_score("activity", name, "last20", NDCG)(one.summary or {}) for name in ("low", "high", "mid")}
    assert (scores["low"], scores["high"], math.isnan(scores["mid"])) == (0.1, 0.2, True)


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
    assert (line["x"], line["y"]) == ([1.0, 8.0, 24.0], [0.1, 0.2, 0.3])
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


# cost


def test_claims_add_up_and_ledgers_give_less_at_the_same_delta() -> None:
    results = [trial(0.1, 2.0, 0), trial(0.1, 3.0, 1)]
    releases = Release(4.0, 1.0, 5)
    cost = cost_of(results, {result.fingerprint: (releases,) for result in results})
    (told,) = cost.to_json()["units"].values()
    assert (told["trials"], told["epsilon_sum"], told["delta_sum"]) == (2, 5.0, 2e-3)
    assert told["epsilon_composed"] == epsilon([releases, releases], 2e-3).pld
    assert told["epsilon_if_all_released"] == 5.0
    text = " ".join(cost.sentences())
    for part in ("Trials on the same users compose", "worst case for one user would be epsilon 5.000 at delta 0.002"):
        assert part in text, part


def test_trials_with_keys_of_their_own_share_no_noise() -> None:
    cost = cost_of([trial(0.1, 2.0, 0), trial(0.1, 3.0, 0), trial(0.1, 1.0, 1)], {})
    assert (cost.shared, cost.promises) == (0, True)


def test_trials_that_share_a_seed_and_a_fixed_key_share_their_noise_and_promise_nothing_together() -> None:
    trials = [trial(0.1, 2.0, 0), trial(0.1, 3.0, 0), trial(0.1, 1.0, 1)]
    cost = cost_of(
        [replace(one, summary=summary(0.1, one.point["privacy.epsilon"], noise_key="fixed")) for one in trials], {}
    )
    assert cost.shared == 2
    (told,) = cost.to_json()["units"].values()
    assert (told["epsilon_sum"], told["epsilon_composed"]) == (6.0, None)
    assert told["epsilon_if_all_released"] == math.inf
    assert "2 private trials here share a seed" in " ".join(cost.sentences())


def test_a_trial_without_privacy_and_one_without_an_end_are_told() -> None:
    cost = cost_of([trial(0.1, 2.0), trial(0.1, math.inf), replace(trial(0.1, 1.0, 5), summary=None)], {})
    assert (cost.open_trials, cost.unfinished, cost.shared, cost.promises) == (1, 1, 0, False)
    text = " ".join(cost.sentences())
    assert "1 trial trained without privacy" in text
    assert "1 trial did not finish" in text
    assert cost_of([], {}).sentences() == ["No trial has finished, so nothing was claimed yet."]


def test_what_trials_tell_of_the_same_private_validation_users_adds_up() -> None:
    claims = [{"epsilon": value, "delta": 1e-4} for value in (1.0, 2.0)]
    results = [trial(0.1, 8.0, seed) for seed in (0, 1)]
    told = [
        replace(result, summary={**result.summary, "privacy": {**result.summary["privacy"], "validation": claim}})
        for result, claim in zip(results, claims, strict=True)
        if result.summary is not None
    ]
    cost = cost_of(told, {})
    assert (cost.units["validation user"].epsilon, cost.units["validation user"].delta) == (3.0, 2e-4)
    assert cost.units["user"].epsilon == 16.0, "and nothing of it is the training users'"
    assert "worst case for one validation user would be epsilon 3.000" in cost.to_json()["statement"]


def test_ledgers_of_several_kinds_of_release_are_composed_too() -> None:
    one = trial(0.1, 2.0)
    kinds = (Release(4.0), Release(3.0, 0.5))
    assert cost_of([one], {one.fingerprint: kinds}).units["user"].tighter == epsilon(kinds, 1e-3).pld
    assert math.isnan(cost_of([one], {}).units["user"].tighter), "what is not known is not guessed"


def test_a_drawn_number_of_trials_is_priced_beside_the_fixed_grid_and_never_claimed_for_it() -> None:
    results = [trial(0.1, 2.0, seed) for seed in range(10)]
    cost = cost_of(results, {result.fingerprint: (Release(4.0, 1.0, 5),) for result in results})
    (told,) = cost.to_json()["units"].values()
    best = told["epsilon_of_best_had_trials_been_drawn"]
    assert best["logarithmic"] == epsilon_of_best([(Release(4.0, 1.0, 5),)], 10, "logarithmic", 1e-3)
    assert (told["delta_of_best"], told["epsilon_if_all_released"]) == (1e-3, 20.0)
    text = " ".join(cost.sentences())
    assert "by the logarithmic law with mean 10" in text
    assert "The trials of this sweep were fixed, so that price is not theirs." in text


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
    assert not [name for name in found.columns if "timing" in name or "rounds" in name]


def test_a_missing_trial_has_a_row_and_no_numbers() -> None:
    found = table_of([replace(trial(0.1, 1.0), summary=None), trial(0.2, 2.0)])
    assert found["state"].to_list() == ["missing", "finished"]
    assert found["test.last.ndcg@10"].to_list() == [None, 0.05]
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
        # (0.123 + 0.125) / 2, and 12.706 * 0.001414 / sqrt(2) to each side
        "NDCG@10 on the last 20 % is 0.124 [0.111, 0.137] at epsilon 1.000, 0.200 without privacy.",
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
    (point,) = points_json(frontier([without]), NDCG)
    assert "last20" in point
    assert "last" not in point
    (chart,) = frontier_charts(frontier([without]), NDCG)
    assert "the last 20 %" in chart.title
    assert "the last item" not in render_frontier("x", [without], [], cost_of([without], {}), "")
    # one trial that was scored on it is enough
    assert len(frontier_charts(frontier([without, trial(0.3, math.inf)]), NDCG)) == 2


def test_points_are_there_for_programs() -> None:
    (point,) = points_json(frontier([trial(0.2, 8.0)]), NDCG)
    assert (point["epsilon"], point["seeds"], point["last20"]["mean"], point["metric"]) == (8.0, 1, 0.2, NDCG)


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
