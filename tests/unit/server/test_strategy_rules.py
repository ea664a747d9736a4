"""A strategy's client rule is built before the run: options fit it, and no payload leaves a client unpaid."""

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.training.rules.base import Rule
from server.asking import ask
from server.base import CohortStrategy, to_record
from server.strategies.build import check_strategy
from server.strategies.fedavg import FedAvg
from tests.tiny import reply, strategy_context


class Sending(Rule):
    def payload_like(self, before):
        return {"norm": torch.zeros(1)}


class Keeping(Rule):
    def kept_start(self, before):
        return dict(before)


class Gathering(FedAvg):
    """Sends what it learnt, and steps by the mean payload."""

    rule = f"{__name__}:Sending"

    def __init__(self, context):
        super().__init__(context)
        self.heard = []

    def extras(self):
        return {"total": np.float32([sum(self.heard)])}

    def receive(self, payload, replies):
        self.heard.append(float(payload["norm"][0]) * replies)

    def step(self, update):
        return {name: change + self.heard[-1] for name, change in update.items()}


class Remembering(FedAvg):
    rule = f"{__name__}:Keeping"


class Reading(CohortStrategy):
    rule = f"{__name__}:Sending"

    def aggregate(self, updates):
        return {"w": sum(update.extras["norm"] for update in updates)}


class Mistaken(FedAvg):
    def client_config(self):
        return {"mu": 0.5}


class Lost(FedAvg):
    rule = "proximall"


def named(kind, **sections):
    privacy = {"epsilon": 8, "unit": "user", **sections.pop("privacy", {})}
    federation = {"partition": "users", **sections.pop("federation", {})}
    sections = {"strategy": {"name": f"{__name__}:{kind}"}, "privacy": privacy, "federation": federation, **sections}
    return Experiment.model_validate(sections)


def answer(client, value, norm):
    message = reply(client, value)
    message.content["extras"] = ArrayRecord({"norm": Array(np.float32([norm]))})
    return message


def test_options_that_no_rule_takes_do_not_vanish():
    with pytest.raises(ConfigError, match=r"the client rule 'plain' does not take the options \{'mu': 0.5\}"):
        check_strategy(named("Mistaken"))
    with pytest.raises(ConfigError, match="Lost: unknown client rule 'proximall'; did you mean 'proximal'"):
        check_strategy(named("Lost"))


@pytest.mark.parametrize("kind", ["Gathering", "Remembering", "Reading"])
def test_behind_local_noise_any_rule_goes(kind):
    check_strategy(named(kind))
    check_strategy(named(kind, privacy={"epsilon": float("inf")}))


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
def test_a_payload_without_noise_is_refused_where_sums_are_noised_and_kept_arrays_are_not(trust):
    with pytest.raises(PrivacyError, match=f"privacy.trust={trust} .* sends more beside them, without noise"):
        check_strategy(named("Gathering", privacy={"trust": trust}))
    check_strategy(named("Remembering", privacy={"trust": trust}))


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"privacy": {"trust": "central"}, "federation": {"sampling": "without-replacement"}}, "made room for whom"),
        (
            {
                "privacy": {"shuffled": True},
                "federation": {"participation": 1.0, "min_replies": 100},
                "training": {"steps": 1, "sampling_rate": 1.0, "example": "sequence"},
            },
            "keep nothing but their data",
        ),
    ],
)
def test_kept_arrays_are_refused_where_a_price_needs_clients_without_memory(sections, said):
    check_strategy(named("", strategy={"name": "fedavg"}, **sections))
    with pytest.raises(PrivacyError, match=said):
        check_strategy(named("Remembering", **sections))


def test_a_mean_strategy_is_told_the_mean_payload_before_its_step_and_sends_extras():
    # payloads 2 and 4 of two replies: mean 3, times 2 replies = 6; changes 1 and 3: mean 2, stepped to 2 + 6 = 8
    strategy = Gathering(strategy_context())
    strategy.payload = {"norm": np.zeros(1, np.float32)}
    before = to_record({"w": np.zeros(1, np.float32)})
    sent = ask(strategy, 1, before, ConfigRecord({"run": "here"}), None)
    assert sent[0].content.array_records["extras"]["total"].numpy().tolist() == [0.0]
    assert sent[0].content.config_records["config"]["rule"] == f"{__name__}:Sending"
    after, _ = strategy.aggregate_train(1, [answer(0, 1.0, 2.0), answer(2, 3.0, 4.0)])
    assert after["w"].numpy().tolist() == [8.0]
    (again, *_) = ask(strategy, 2, before, ConfigRecord({"run": "here"}), None)
    assert again.content.array_records["extras"]["total"].numpy().tolist() == [6.0]


def test_a_cohort_strategy_reads_each_clients_payload():
    strategy = Reading(strategy_context())
    strategy.payload = {"norm": np.zeros(1, np.float32)}
    ask(strategy, 1, to_record({"w": np.zeros(1, np.float32)}), ConfigRecord({"run": "here"}), None)
    after, _ = strategy.aggregate_train(1, [answer(0, 1.0, 2.0), answer(2, 3.0, 4.0)])
    assert after["w"].numpy().tolist() == [6.0]
    assert [(bad.client, bad.reason) for bad in strategy.report.rejections] == [(1, "no reply"), (3, "no reply")]


def test_a_plain_strategy_sends_no_extras_and_refuses_what_clients_send_unasked():
    strategy = FedAvg(strategy_context())
    sent = ask(strategy, 1, to_record({"w": np.zeros(1, np.float32)}), ConfigRecord({"run": "here"}), None)
    assert set(sent[0].content) == {"arrays", "config"}
    strategy.aggregate_train(1, [answer(0, 1.0, 2.0), reply(2, 3.0)])
    assert [(bad.client, bad.reason) for bad in strategy.report.rejections][:1] == [(0, "wrong shape")]
