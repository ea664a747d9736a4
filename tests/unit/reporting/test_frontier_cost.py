"""What a sweep's trials cost together, from hand-made ones."""

import math
from dataclasses import replace

from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.accounting.tuning import epsilon_of_best
from fedrec.reporting.frontier.cost import cost_of
from tests.unit.reporting.made_trials import (
    summary,
    trial,
)


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


def test_trials_of_several_splits_judge_in_one_whom_they_protect_in_another() -> None:
    cost = cost_of([trial(0.1, 2.0, 0), trial(0.1, 2.0, 1, split_seed=1)], {})
    assert (cost.splits, cost.promises) == (2, False)
    (told,) = cost.to_json()["units"].values()
    assert (told["epsilon_sum"], told["epsilon_if_all_released"]) == (4.0, math.inf)
    assert "The private trials have 2 user splits" in " ".join(cost.sentences())
    assert cost_of([trial(0.1, 2.0, 0), trial(0.1, math.inf, 1, split_seed=1)], {}).splits == 1


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
