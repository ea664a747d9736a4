"""Classes of what is written: what may be published, and what happens where nobody has decided."""

import pytest

from fedrec.core.errors import PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from fedrec.privacy.disclosure import PRIVATE, PUBLIC, RELEASED, published, round_fields, summary_fields
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.privacy.validation import ValidationPlan

FIELDS = {"a": PUBLIC, "b": PRIVATE, "c.d": RELEASED, "c.e": PRIVATE, "f": PUBLIC}


def test_what_is_private_is_left_out_at_any_depth_and_a_class_holds_for_all_below():
    values = {"a": 1, "b": 2, "c": {"d": 3, "e": 4}, "f": {"g": {"h": 5}}}
    assert published(values, FIELDS) == {"a": 1, "c": {"d": 3}, "f": {"g": {"h": 5}}}


def test_a_mapping_with_nothing_to_publish_is_left_out():
    assert published({"a": 1, "c": {"e": 4}, "controls": {}}, FIELDS) == {"a": 1}


@pytest.mark.parametrize(("values", "path"), [({"x": 1}, "x"), ({"c": {"x": 1}}, r"c\.x"), ({"c": 1}, "c")])
def test_a_value_without_a_class_is_refused_by_its_path(values, path):
    with pytest.raises(PrivacyError, match=rf"the field {path} has no class"):
        published(values, FIELDS)


def planned(**federation):
    wanted = {"federation": {"partition": "users", **federation}, "privacy": {"trust": "central", "epsilon": 8.0}}
    return plan(Experiment.model_validate(wanted), UnitCounts(561, 561, 561), 30)


def test_a_cohorts_size_is_published_only_where_no_claim_rests_on_it():
    assert round_fields(planned(participation=0.1, sampling="poisson"))["cohort"] is PRIVATE
    assert round_fields(planned(participation=0.1, sampling="fixed"))["cohort"] is PUBLIC


def test_how_many_users_there_are_is_published_only_where_the_claim_calls_it_public():
    platforms = {"names": ["a", "b"], "items": [4, 5]}
    told = {
        "dataset": {"users": 943, "items": 9, "platforms": {**platforms, "users": [900, 43]}},
        "split": {"private": 561},
        "federation": {"clients": 561},
    }
    privacy = {"trust": "central", "epsilon": 8.0, "delta": 1e-5}
    secret = {"partition": "users", "sampling": "poisson", "participation": 0.1, "declared_cohort": 56.0}
    for adjacency, shown in (("zero-out", told), ("add-remove", {"dataset": {"items": 9, "platforms": platforms}})):
        tree = {"privacy": {**privacy, "adjacency": adjacency}, "federation": secret}
        made = plan(Experiment.model_validate(tree), UnitCounts(561, 561, 561), 30)
        assert published(told, summary_fields({}, made, ValidationPlan())) == shown


@pytest.mark.parametrize(("clients", "rate", "rounds", "claimed", "review"), [
    (561, 0.1, 30, 8.0, 17.5),
    (10_000, 0.01, 200, 2.0, 11.8),
])  # fmt: skip
def test_with_its_size_known_a_poisson_cohort_would_cost_far_more_than_was_claimed(
    clients, rate, rounds, claimed, review
):
    # Let a user answer -v and everybody else v, and let the neighbour lack the user. With the size S told, the sum is
    # (S - 2B) v with the user's coin B, and S v without: a user moves it by two clip norms instead of one.
    delta = clients**-1.1
    noise = calibrate(claimed, delta, rate, rounds)
    assert epsilon([Release(noise, rate, rounds)], delta).pld <= claimed
    assert epsilon([Release(noise / 2, rate, rounds)], delta).pld > review


def test_where_nobody_volunteers_only_released_scores_of_held_out_users_are_published():
    made = planned(sampling="poisson", participation=0.1)
    scores = {"metrics": {"validation": {"last": 1}, "test": {"last": 2}}, "groups": {"last": 3}, "intervals": {"a": 4}}
    rest = {"exact": {"validation": 5}, "split": {"validation": 94, "excluded": 6}, "controls": {"base": {"test": 7}}}
    fields = summary_fields({"base": PUBLIC}, made, ValidationPlan(users=94, epsilon=2.0))
    assert published(scores | rest, fields) == {"metrics": {"validation": {"last": 1}}, "split": {"validation": 94}}
    volunteers = summary_fields({"base": PUBLIC}, made, ValidationPlan())
    assert published(scores | rest, volunteers).keys() == {"metrics", "groups", "intervals", "split", "controls"}
    line = {"loss": 6.0, "noise": {"loss": 0.1}, "rank_counts": [1.0], "exact": {"loss": 6.1}}
    assert published(line, round_fields(made)).keys() == {"loss", "noise", "rank_counts"}


@pytest.mark.parametrize(
    ("federation", "transforms", "shown"),
    [
        ({"sampling": "fixed"}, False, {"upload_bytes_per_client_round": 1, "download_bytes_per_client_round": 2}),
        ({"sampling": "fixed"}, True, {"download_bytes_per_client_round": 2}),
        ({"sampling": "poisson", "participation": 0.1}, False, {}),
    ],
)
def test_sizes_of_messages_are_published_where_no_data_and_no_secret_cohort_decide_them(federation, transforms, shown):
    told = {
        "upload_bytes_per_client_round": 1,
        "download_bytes_per_client_round": 2,
        "upload_bytes_total": 3,
        "download_bytes_total": 4,
    }
    fields = summary_fields({}, planned(**federation), ValidationPlan(), transforms=transforms)
    assert published({"communication": told}, fields) == ({"communication": shown} if shown else {})
    line = {"answers": 1, "upload_bytes": 2, "download_bytes": 3}
    assert published(line, round_fields(planned(**federation))) == ({"download_bytes": 3} if shown else {})
