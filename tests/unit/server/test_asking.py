"""Who is asked is who pays: overrides that would ask, sum or noise otherwise are refused, and so are such messages."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from fedrec.core.errors import PrivacyError
from fedrec.privacy.accounting.prices import Release, calibrate, epsilon
from server.asking import ask
from server.base import CohortStrategy, MeanStrategy, to_record
from server.strategies.build import adopt
from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from server.strategies.median import Median
from tests.tiny import strategy_context

ARRAYS = to_record({"w": np.zeros(2, dtype=np.float32)})


def placed(trust, **changes):
    """Return a context of this trust that asks clients 1 and 3 of four."""
    found = strategy_context(cohort=lambda number: [1, 3], **changes)
    return replace(found, plan=replace(found.plan, trust=trust))


def asking(clients, told=None):
    """Return a hook that asks these clients."""

    def configure_train(strategy, server_round, arrays, config, grid):
        del strategy, grid
        config = ConfigRecord({**config, "server-round": server_round if told is None else told})
        content = RecordDict({"arrays": arrays, "config": config})
        return [Message(content, client, "train", group_id=str(server_round)) for client in clients]

    return configure_train


def asked(strategy, number=2):
    ask(strategy, number, ARRAYS, ConfigRecord({"run": "here"}), None)
    return strategy.asked


def test_asking_everybody_in_every_round_would_cost_21_where_8_is_claimed():
    # 561 users, each asked by a coin of 0.4 in 20 rounds; or asked in all of them, with the same noise
    delta = 561**-1.1
    noise = calibrate(8.0, delta, 0.4, 20)
    assert epsilon([Release(noise, 0.4, 20)], delta).pld == pytest.approx(7.995, abs=1e-3)
    assert epsilon([Release(noise, 1.0, 20)], delta).pld == pytest.approx(21.12, abs=0.01)


def test_a_parameter_that_is_a_single_number_travels_as_one():
    sent = to_record({"scale": np.array(2.0, dtype=np.float32), "turned": np.arange(6.0).reshape(2, 3).T})
    assert [sent[name].numpy().tolist() for name in ("scale", "turned")] == [2.0, [[0, 3], [1, 4], [2, 5]]]


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
@pytest.mark.parametrize(
    ("clients", "complaint"),
    [
        ([0, 1, 2, 3], r"round 2: the strategy asks \[0, 2\] beside the drawn cohort and leaves out nobody"),
        ([1], r"asks nobody beside the drawn cohort and leaves out \[3\]"),
        ([], r"leaves out \[1, 3\]"),
        ([0, 3], r"asks \[0\] beside the drawn cohort and leaves out \[1\]"),
        ([3, 1, 3], "asks client 3 twice, which pays for one answer"),
    ],
)
def test_where_sums_are_noised_nobody_but_the_drawn_cohort_is_asked(monkeypatch, trust, clients, complaint):
    strategy = FedAvg(placed(trust))
    assert asked(strategy) == [1, 3]
    monkeypatch.setattr(FedAvg, "configure_train", asking(clients))  # a class that is changed after it was made
    with pytest.raises(PrivacyError, match=complaint):
        asked(strategy)


class Everybody(CohortStrategy):
    """Asks whom it likes; the round's own cohort pays nothing for that."""

    configure_train = asking([2, 0, 3])

    def aggregate(self, updates):
        """Return the first change."""
        return updates[0].delta


class Again(Everybody):
    """Asks client 2 twice."""

    configure_train = asking([2, 0, 2])


class Yesterday(Everybody):
    """Tells clients of another round, whose noise they would draw again."""

    configure_train = asking([2], told=1)


def test_where_clients_noise_their_own_whoever_is_addressed_is_charged():
    assert asked(Everybody(placed("local"))) == [0, 2, 3]
    with pytest.raises(PrivacyError, match="round 2: the strategy asks client 2 twice"):
        asked(Again(placed("local")))
    with pytest.raises(PrivacyError, match='tells clients that "server-round" is 1'):
        asked(Yesterday(placed("local")))


def test_without_privacy_a_strategy_asks_as_it_likes():
    assert asked(Again(placed("none"))) == [0, 2, 2]
    assert asked(Yesterday(placed("none"))) == [2]


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
def test_a_strategy_of_cohorts_is_not_asked_where_sums_are_noised(trust):
    with pytest.raises(PrivacyError, match="Median looks at each client's change"):
        asked(Median(placed(trust)))


def test_a_strategys_words_to_clients_do_not_change_the_rounds_own():
    class Sly(FedAvg):
        def client_config(self):
            return {"server-round": 1.0, "warmth": 3.0}

    (message, _) = ask(Sly(placed("local")), 2, ARRAYS, ConfigRecord({"run": "here"}), None)
    told = {"run": "here", "server-round": 2, "rule-server-round": 1.0, "rule-warmth": 3.0}
    assert dict(message.content.config_records["config"]) == told


CLOSED = [
    "configure_train",
    "aggregator",
    "mechanism",
    "aggregate",
    "aggregate_train",
    "aggregate_total",
    "aggregate_secret",
    "accept",
    "kept",
    "take_back",
    "_note",
    "_conclude",
    "__init_subclass__",
]


@pytest.mark.parametrize("base", [MeanStrategy, FedAvg, FedAvgM])
@pytest.mark.parametrize("name", CLOSED)
def test_an_average_that_overrides_what_was_priced_is_refused_when_it_is_made(base, name):
    with pytest.raises(PrivacyError, match=rf"strategy Own overrides {name}, .* derive it from CohortStrategy"):
        type("Own", (base,), {name: lambda self, *given: None})


def test_nor_does_a_mixin_or_a_child_get_by():
    class Mixin:
        configure_train = asking([0, 1, 2, 3])

    with pytest.raises(PrivacyError, match="overrides configure_train"):
        type("Mixed", (Mixin, FedAvg), {})
    middle = type("Middle", (FedAvg,), {"step": lambda self, update: update})
    with pytest.raises(PrivacyError, match="overrides aggregator, kept"):
        type("Child", (middle,), {"kept": lambda self: {}, "aggregator": None})


def test_a_strategy_that_changes_its_setting_is_refused():
    class Wide(FedAvg):
        def __init__(self, context):
            super().__init__(replace(context, cohort=lambda number: [0, 1, 2, 3]))

    with pytest.raises(PrivacyError, match="strategy Wide changed its context"):
        adopt(Wide, strategy_context(), {})
