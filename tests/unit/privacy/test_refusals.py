"""Which combinations have no true claim: each is refused with advice, and what is true passes."""

import math

import pytest

from fedrec.core.errors import PrivacyError
from fedrec.models.recommender import keeps_parts
from fedrec.privacy.checks import check
from fedrec.privacy.plugin_checks import check_model
from tests.claims import CENTRAL, PRIVATE_N, SECURE, experiment


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (CENTRAL | {"federation__partition": "shards"}, r"set federation\.partition=users"),
        (CENTRAL | {"federation__partition": "attribute"}, r"set federation\.partition=users"),
        (CENTRAL | {"privacy__unit": "example"}, r"set privacy\.unit=user"),
        ({"training__example": "prefix"}, r"set training\.example=sequence, or privacy\.unit=example"),
        ({"privacy__noise_multiplier": 1.0}, r"keep privacy\.epsilon alone"),
    ],
)
def test_false_claims_are_refused_with_advice(changes, advice):
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**changes), linear_strategy=True)


def test_all_that_secure_sums_cannot_do_is_refused_at_once():
    wrong = {
        "federation__partition": "shards",
        "federation__sampling": "poisson",
        "privacy__unit": "example",
        "privacy__noise_multiplier": 1.0,
        "strategy__name": "median",
    }
    with pytest.raises(PrivacyError) as caught:
        check(experiment(**SECURE | wrong), linear_strategy=False)
    assert str(caught.value).count("\n- ") == 5
    for advice in (
        "secure-aggregation clips one client's whole update, but federation.partition=shards",
        "set federation.partition=users",
        "strategy.name=median is not an average",
        "secure-aggregation does not do; set privacy.unit=user",
        "set federation.sampling=fixed, or privacy.trust=central",
        "keep privacy.epsilon alone",
    ):
        assert advice in str(caught.value)


def test_a_median_of_raw_updates_has_no_central_claim():
    with pytest.raises(PrivacyError, match=r"strategy\.name=median is not an average"):
        check(experiment(**CENTRAL, strategy__name="median"), linear_strategy=False)


def test_all_reasons_are_given_at_once():
    wrong = CENTRAL | {"federation__partition": "shards", "privacy__unit": "example", "privacy__noise_multiplier": 1.0}
    with pytest.raises(PrivacyError) as caught:
        check(experiment(**wrong), linear_strategy=False)
    assert str(caught.value).count("\n- ") == 4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"federation__sampling": "poisson", "federation__participation": 0.5},
        {"federation__partition": "users"},
        {"training__example": "prefix", "privacy__unit": "example"},
        {"training__optimizer": "adam"},
        CENTRAL | {"training__optimizer": "adam", "training__example": "prefix"},
        {"privacy__trust": "secure-aggregation", "federation__partition": "users", "training__example": "prefix"},
        {"privacy__epsilon": math.inf, "privacy__noise_multiplier": 1.0},
    ],
)
def test_true_claims_pass(changes):
    check(experiment(**changes), linear_strategy=True)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (PRIVATE_N | {"privacy__trust": "local"}, r"set privacy\.trust=central"),
        (
            PRIVATE_N | {"federation__sampling": "fixed"},
            r"federation\.sampling=poisson, or privacy\.adjacency=zero-out",
        ),
        (PRIVATE_N | {"privacy__unit": "platform"}, r"privacy\.unit=user"),
        (PRIVATE_N | {"privacy__delta": None}, r"set privacy\.delta and federation\.declared_cohort"),
        (PRIVATE_N | {"federation__declared_cohort": None}, r"set privacy\.delta and federation\.declared_cohort"),
        (PRIVATE_N | {"privacy__bands": 2}, "leave both out"),
        (PRIVATE_N | {"privacy__population": 9000}, "leave both out"),
        (PRIVATE_N | {"federation__min_replies": 2}, r"federation\.min_replies to 0 or 1"),
        # a declared cohort of 50 at a rate of .1 are 500 users
        (PRIVATE_N | {"privacy__delta": 1 / 500}, "for n=500 units"),
        (
            {"privacy__adjacency": "replace-one", "privacy__unit": "example", "training__example": "prefix"},
            r"privacy\.adjacency=zero-out",
        ),
        ({"privacy__clip_norm": math.inf}, r"privacy\.clip_norm=inf bounds nothing.*set a finite norm"),
        (
            CENTRAL | {"privacy__clip_norm": math.inf, "privacy__adaptive_clip": {"quantile": 0.5}},
            r"privacy\.clip_norm=inf bounds nothing",
        ),
        (
            CENTRAL | {"privacy__item_counts": {"share": 0.1, "clip_norm": math.inf}},
            r"privacy\.item_counts\.clip_norm=inf bounds nothing",
        ),
        # each of 20 clients is a platform with at least one user: n is 20 at least, whatever the data
        (
            CENTRAL | {"federation__partition": "shards", "privacy__unit": "platform", "privacy__delta": 0.05},
            "n=20 units",
        ),
        ({"privacy__delta": 0.05}, "n=20 units"),
        (CENTRAL | {"privacy__population": 9000, "privacy__delta": 1 / 9000}, "n=9000 units"),
        ({"data__name": "table"}, r"give a table's items in data\.table\.items_path"),
        (
            {"platforms__video": {"name": "movielens-100k"}, "platforms__shop": {"name": "table"}},
            r"platforms\.shop\.name=table .* in platforms\.shop\.table\.items_path",
        ),
        # each of two platforms has 20 shards
        ({"platforms__a": {}, "platforms__b": {}, "privacy__delta": 0.025}, "n=40 units"),
        ({"data__name": "synthetic", "data__synthetic": {"based_on": "table"}}, "has no public list of items"),
    ],
)
def test_what_data_would_decide_is_refused_with_advice(changes, advice):
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**changes), linear_strategy=True)


@pytest.mark.parametrize(
    "changes",
    [
        PRIVATE_N,
        PRIVATE_N | {"privacy__item_counts": {"share": 0.1}, "privacy__adaptive_clip": {"quantile": 0.5}},
        {"privacy__adjacency": "replace-one"},
        {"data__name": "table", "data__table": {"items_path": "items.csv"}},
        {"data__name": "synthetic"},
        {"data__name": "table", "privacy__epsilon": math.inf},
        {"privacy__clip_norm": math.inf, "privacy__epsilon": math.inf},
    ],
)
def test_what_no_data_decides_passes(changes):
    check(experiment(**changes), linear_strategy=True)


def test_any_strategy_may_follow_local_noise():
    check(experiment(), linear_strategy=False)


@pytest.mark.parametrize("sampling", ["without-replacement", "balls-in-bins"])
@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"privacy__trust": "secure-aggregation"}, r"amplifies nothing; set federation\.sampling=fixed"),
        ({"privacy__trust": "central", "privacy__bands": 2}, r"no proven price .* set it to poisson or fixed"),
        ({"privacy__trust": "central", "privacy__adjacency": "replace-one"}, r"or privacy\.adjacency=zero-out"),
        ({"privacy__trust": "central", "privacy__adjacency": "add-remove"}, r"or privacy\.adjacency=zero-out"),
    ],
)
def test_secret_draws_are_refused_where_nothing_is_proven(sampling, changes, advice):
    asked = {"federation__partition": "users", "federation__sampling": sampling, "federation__participation": 0.25}
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**asked | changes), linear_strategy=True)


def test_no_client_may_remember_who_made_room_for_whom():
    half = CENTRAL | {"federation__participation": 0.5, "adapter__private": ("item_bias*",)}
    for sampling in ("poisson", "balls-in-bins"):
        check(experiment(**half, federation__sampling=sampling), linear_strategy=True)
    with pytest.raises(PrivacyError, match=r"adapter\.private=\['item_bias\*'\].*set adapter\.private=\[\], or"):
        check(experiment(**half, federation__sampling="without-replacement"), linear_strategy=True)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"privacy__bands": 2}, r"privacy\.bands=2 needs a trusted server; set privacy\.trust=central"),
        ({"privacy__population": 9000}, r"privacy\.population=9000 needs a trusted server"),
        ({"privacy__adaptive_clip": {"quantile": 0.5}}, r"adaptive_clip\.quantile=0\.5 needs a trusted server"),
        ({"privacy__unit": "platform"}, r"set privacy\.trust=central or secure-aggregation"),
        (CENTRAL | {"privacy__bands": 2}, r"participation of at most 0\.5 \(it is 1\)"),
        (CENTRAL | {"privacy__bands": 40, "federation__participation": 0.01}, r"as many rounds \(there are 30\)"),
        (
            CENTRAL
            | {"privacy__bands": 2, "federation__participation": 0.5, "privacy__adaptive_clip": {"quantile": 0.5}},
            "cancel noise of one size",
        ),
        (CENTRAL | {"privacy__population": 9000, "privacy__budget": 9.0}, r"privacy\.budget it would exceed"),
        ({"privacy__epsilon": math.inf, "privacy__budget": 9.0}, r"set privacy\.epsilon"),
    ],
)
def test_what_a_server_cannot_do_is_refused_with_advice(changes, advice):
    with pytest.raises(PrivacyError, match=advice):
        check(experiment(**changes), linear_strategy=True)


TRANSFORMED = {"transforms": ({"name": "int8"},)}


def test_transforms_are_refused_where_they_would_break_the_claim_and_nowhere_else():
    for changes in ({}, CENTRAL, {"privacy__epsilon": math.inf}):
        check(experiment(**changes, **TRANSFORMED), linear_strategy=True)
    with pytest.raises(PrivacyError, match=r"transforms \(int8\) change what one client sends.*set transforms=\[\]"):
        check(experiment(**SECURE, **TRANSFORMED), linear_strategy=True)
    with pytest.raises(PrivacyError, match=r"draw for each client by its number; set transforms=\[\]"):
        check(experiment(privacy__shuffled=True, **TRANSFORMED), linear_strategy=True)


@pytest.mark.parametrize("model", ["matrix_factorization", "additive_factorization", "text_transformer"])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (CENTRAL | {"federation__sampling": "without-replacement"}, "no proven price where clients keep something"),
        ({"privacy__shuffled": True}, "clients that keep nothing but their data"),
        (CENTRAL | {"federation__sampling": "poisson"}, ""),
        ({}, ""),
    ],
)
def test_a_part_that_stays_with_its_client_is_a_memory(model, changes, reason):
    asked = experiment(**changes, model__name=model)
    assert keeps_parts(asked) == (model != "text_transformer")
    if reason and keeps_parts(asked):
        with pytest.raises(PrivacyError, match=f"{reason}.*model.name={model}"):
            check_model(asked, kept=keeps_parts(asked))
    else:
        check_model(asked, kept=keeps_parts(asked))
