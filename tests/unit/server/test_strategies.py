"""Each strategy by hand arithmetic; what all have in common is in tests/contracts."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error

from fedrec.core.errors import ConfigError, FederationError
from fedrec.privacy.plan import AdaptiveClip
from server.asking import ask
from server.base import CohortStrategy, MeanStrategy, to_record
from server.strategies.fedadam import FedAdam
from server.strategies.fedavg import FedAvg
from server.strategies.fedavgm import FedAvgM
from server.strategies.fedprox import FedProx
from server.strategies.fedyogi import FedYogi
from server.strategies.median import Median
from server.strategies.shrinkage import Shrinkage, signal_share
from server.strategies.trimmed_mean import TrimmedMean
from tests.tiny import aggregate_of, reply, sent_by, strategy_context, update


def aggregated(strategy, *updates):
    return aggregate_of(strategy, updates)["w"]


def stepped(strategy, *values):
    return strategy.step({"w": np.array(values, dtype=np.float32)})["w"]


def test_fedavg_weighs_by_examples():
    # (1*3 + 5*1) / 4 = 2 and (2*3 + -2*1) / 4 = 1
    mean = aggregated(FedAvg(strategy_context()), update(0, 1, 2, weight=3), update(1, 5, -2, weight=1))
    np.testing.assert_allclose(mean, [2.0, 1.0])


def test_fedavg_with_a_server_learning_rate_of_a_half_goes_half_of_the_way():
    np.testing.assert_allclose(stepped(FedAvg(strategy_context(), server_lr=0.5), 2.0, -1.0), [1.0, -0.5])


def test_fedprox_is_fedavg_that_tells_its_clients_mu():
    strategy = FedProx(strategy_context(), mu=0.25)
    assert (strategy.rule, strategy.client_config()) == ("proximal", {"mu": 0.25})
    np.testing.assert_allclose(aggregated(strategy, update(0, 1), update(1, 3)), [2.0])
    strategy_messages = ask(strategy, 1, to_record({"w": np.zeros(1, dtype=np.float32)}), ConfigRecord(), None)
    assert [message.content.config_records["config"]["rule"] for message in strategy_messages] == ["proximal"] * 4
    assert [message.content.config_records["config"]["rule-mu"] for message in strategy_messages] == [0.25] * 4


def test_fedadam_takes_two_steps_of_algorithm_2_of_reddi():
    strategy = FedAdam(strategy_context(), server_lr=0.1, beta_1=0.5, beta_2=0.75, tau=0.5)
    # m1 = 0.5*0 + 0.5*2 = 1;  v1 = 0.75*0.25 + 0.25*4 = 1.1875;  x1 = 0.1 * 1 / (sqrt(1.1875) + 0.5)
    np.testing.assert_allclose(stepped(strategy, 2.0), [0.1 * 1 / (1.1875**0.5 + 0.5)], rtol=1e-6)
    # m2 = 0.5*1 + 0.5*-2 = -0.5;  v2 = 0.75*1.1875 + 0.25*4 = 1.890625
    np.testing.assert_allclose(stepped(strategy, -2.0), [0.1 * -0.5 / (1.890625**0.5 + 0.5)], rtol=1e-6)


def test_fedyogi_takes_two_steps_of_algorithm_2_of_reddi():
    strategy = FedYogi(strategy_context(), server_lr=0.1, beta_1=0.5, beta_2=0.75, tau=0.5)
    # m1 = 1;  v1 = 0.25 - 0.25*4*sign(0.25 - 4) = 0.25 + 1 = 1.25
    np.testing.assert_allclose(stepped(strategy, 2.0), [0.1 * 1 / (1.25**0.5 + 0.5)], rtol=1e-6)
    # m2 = 0.5*1 + 0.5*1 = 1;  v2 = 1.25 - 0.25*1*sign(1.25 - 1) = 1.25 - 0.25 = 1
    np.testing.assert_allclose(stepped(strategy, 1.0), [0.1 * 1 / (1.0 + 0.5)], rtol=1e-6)


def test_fedavgm_moves_by_a_mean_over_rounds():
    strategy = FedAvgM(strategy_context(), server_lr=2, momentum=0.75)
    # m = 0.25 * 4 = 1, then 0.75 * 1 + 0.25 * -1 = 0.5
    np.testing.assert_allclose(stepped(strategy, 4.0), [2 * 1])
    np.testing.assert_allclose(stepped(strategy, -1.0), [2 * 0.5])


def test_fedavgm_without_momentum_is_fedavg():
    strategy = FedAvgM(strategy_context(), momentum=0)
    np.testing.assert_allclose(stepped(strategy, 2.0, -1.0), [2.0, -1.0])
    np.testing.assert_allclose(stepped(strategy, 5.0, 0.0), [5.0, 0.0])


def test_shrinkage_takes_each_array_by_its_share_of_signal():
    # noise 2 * clip 1 over a cohort of 4: variance 0.25 on each number of a round's mean
    strategy = Shrinkage(strategy_context(2.0, central=True), server_lr=10, momentum=0.5)
    same = {"strong": np.array([3.0, 4.0], np.float32), "weak": np.array([0.5, -0.4], np.float32)}
    steps = strategy.step(same)
    # the mean over rounds is half of it, its variance 0.25 * 0.5^2 = 0.0625
    # strong: length 1.5^2 + 2^2 = 6.25, share 1 - 2 * 0.0625 / 6.25 = 0.98; weak: 0.25^2 + 0.2^2 = 0.1025 < 0.125
    np.testing.assert_allclose(steps["strong"], [10 * 0.98 * 1.5, 10 * 0.98 * 2], rtol=1e-6)
    np.testing.assert_array_equal(steps["weak"], [0, 0])
    steps = strategy.step(same)
    # said twice: mean (0.375, -0.3) of length 0.230625, variance 0.25 * 0.0625 + 0.0625 = 0.078125
    share = 1 - 2 * 0.078125 / 0.230625
    np.testing.assert_allclose(steps["weak"], [10 * share * 0.375, 10 * share * -0.3], rtol=1e-5)


def test_shrinkage_without_noise_is_fedavgm():
    shrunk, plain = Shrinkage(strategy_context()), FedAvgM(strategy_context())
    for values in [(2.0, -1.0), (5.0, 0.5)]:
        np.testing.assert_allclose(stepped(shrunk, *values), stepped(plain, *values))


def test_shrinkage_lowers_the_error_and_lets_pure_noise_move_next_to_nothing():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(0, 1, 1000), rng.normal(0, 2, 1000)
    # E|x - truth|^2: 4000 as it is; shrunk to 1 - 4 / 5 of it: 1000 * 0.8^2 + 4000 * 0.2^2 = 800
    shrunk = signal_share(truth + noise, 4.0) * (truth + noise)
    assert np.square(shrunk - truth).sum() == pytest.approx(800, rel=0.1)
    assert signal_share(noise, 4.0) < 0.1
    assert signal_share(np.zeros(3), 0.0) == 0


def test_shrinkage_refuses_a_clip_norm_that_adapts():
    found = strategy_context(1.0, central=True)
    clipping = AdaptiveClip(quantile=0.5, lr=0.2, bit_deviation=1.0, noise_multiplier=1.1)
    with pytest.raises(ConfigError, match="shrinkage needs to know the noise beforehand"):
        Shrinkage(replace(found, plan=replace(found.plan, clipping=clipping)))


def test_median_takes_the_middle_of_each_coordinate_whatever_the_weights():
    odd = [update(0, 1, -9, weight=100), update(1, 2, 5), update(2, 900, 6)]
    np.testing.assert_allclose(aggregated(Median(strategy_context()), *odd), [2.0, 5.0])
    # four values: (2 + 4) / 2 = 3
    np.testing.assert_allclose(
        aggregated(Median(strategy_context()), *(update(i, v) for i, v in enumerate([1, 2, 4, 99]))), [3.0]
    )


def test_trimmed_mean_drops_one_of_five_at_each_end():
    # sorted -50 1 2 3 99; floor(0.2 * 5) = 1 cut from each end: (1 + 2 + 3) / 3 = 2
    updates = [update(i, v) for i, v in enumerate([99, 2, -50, 3, 1])]
    np.testing.assert_allclose(aggregated(TrimmedMean(strategy_context(), trim=0.2), *updates), [2.0])


def test_trimmed_mean_of_few_drops_nobody():
    # floor(0.1 * 3) = 0: (1 + 2 + 6) / 3 = 3
    np.testing.assert_allclose(
        aggregated(TrimmedMean(strategy_context()), *(update(i, v) for i, v in enumerate([1, 2, 6]))), [3.0]
    )


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        (FedAvg, {"server_lr": 0}, "strategy.options.server_lr = 0: should be a number above 0"),
        (FedAvg, {"server_lr": "fast"}, "strategy.options.server_lr = 'fast'"),
        (FedProx, {"mu": -1}, "strategy.options.mu = -1: should be a number at least 0"),
        (FedAdam, {"beta_1": 1}, "strategy.options.beta_1 = 1: should be a number at least 0 and below 1"),
        (FedYogi, {"tau": 0.0}, "strategy.options.tau = 0.0: should be a number above 0"),
        (FedAvgM, {"momentum": 1.5}, "strategy.options.momentum = 1.5"),
        (Shrinkage, {"momentum": 1}, "strategy.options.momentum = 1: should be a number at least 0 and below 1"),
        (TrimmedMean, {"trim": 0.5}, "strategy.options.trim = 0.5: should be a number at least 0 and below 0.5"),
        (TrimmedMean, {"trim": float("nan")}, "strategy.options.trim = nan"),
    ],
)
def test_an_option_out_of_its_range_is_named(kind, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        kind(strategy_context(), **options)


def one_round(strategy, *replies, before=(0.0, 0.0)):
    arrays = to_record({"w": np.array(before, dtype=np.float32)})
    ask(strategy, 1, arrays, ConfigRecord({"run": "here"}), None)
    after, _ = strategy.aggregate_train(1, replies)
    return None if after is None else after["w"].numpy()


def test_a_round_asks_the_cohort_and_moves_the_adapter_by_the_mean_change():
    strategy = MeanStrategy(strategy_context())
    arrays = to_record({"w": np.array([1.0, 1.0], dtype=np.float32)})
    messages = ask(strategy, 3, arrays, ConfigRecord({"run": "here"}), None)
    assert [message.metadata.dst_node_id for message in messages] == [0, 1, 2, 3]
    assert dict(messages[0].content.config_records["config"]) == {"run": "here", "server-round": 3}
    after, _ = strategy.aggregate_train(3, [reply(i, 1.0 + i, 1.0 - i) for i in range(4)])
    # mean change (0+1+2+3)/4 = 1.5
    np.testing.assert_allclose(after["w"].numpy(), [1 + 1.5, 1 - 1.5])
    assert strategy.report.accepted == 4
    assert strategy.report.update_norm == pytest.approx((1.5**2 + 1.5**2) ** 0.5)


def test_silent_and_failed_clients_are_reported_and_the_others_are_averaged():
    strategy = MeanStrategy(strategy_context(min_replies=2))
    after = one_round(strategy, reply(0, 2, 2), sent_by(1, Error(0, "ValueError: no rows")), reply(3, 4, 4))
    np.testing.assert_allclose(after, [3, 3])
    assert [(r.client, r.reason) for r in strategy.report.rejections] == [(1, "client failed"), (2, "no reply")]


def test_too_few_usable_replies_fail_the_round_with_the_reasons():
    with pytest.raises(FederationError, match=r"1 usable replies of 4, federation.min_replies=2; client 1: not finite"):
        one_round(MeanStrategy(strategy_context(min_replies=2)), reply(0, 2, 2), reply(1, np.nan, 0))


def test_clients_without_examples_change_nothing():
    strategy = MeanStrategy(strategy_context())
    np.testing.assert_allclose(one_round(strategy, reply(0, 9, 9, examples=0), reply(1, 1, 1, examples=2)), [1, 1])
    assert one_round(strategy, reply(0, 9, 9, examples=0)) is None


def test_an_empty_poisson_cohort_changes_nothing_and_is_no_failure():
    strategy = MeanStrategy(strategy_context(cohort=lambda number: []))
    assert one_round(strategy) is None
    assert strategy.report.cohort == []


def test_a_step_that_is_not_finite_fails_the_round():
    with pytest.raises(FederationError, match="FedAvg made w NaN or infinite"):
        one_round(FedAvg(strategy_context(max_update_norm=1e38), server_lr=1e30), reply(0, 1e20, 0), before=(0.0, 0.0))


WRONG = [
    (None, r"NoneType instead of arrays by name"),
    ({}, r"lacks \['w'\]"),
    ({"w": np.ones((1, 2), np.float32), "x": np.ones(1)}, r"the unknown \['x'\]"),
    ({"w": np.ones((2, 1), np.float32)}, r"w of shape \[2, 1\] instead of \[2\]"),
    ({"w": np.float32(1.0)}, r"w of shape \[\] instead of \[2\]"),
]
"""What was broadcast over the parameters, or called a fault of ours."""


@pytest.mark.parametrize(("returned", "said"), WRONG)
@pytest.mark.parametrize("method", ["aggregate", "step"])
def test_what_is_no_change_of_the_adapter_is_refused_and_names_the_strategy(method, returned, said):
    class Mine(CohortStrategy):
        def aggregate(self, updates):
            return returned if method == "aggregate" else updates[0].delta

        def step(self, update):
            return returned if method == "step" else update

    strategy = Mine(strategy_context())
    strategy.current = {"w": np.zeros(2, dtype=np.float32)}
    with pytest.raises(FederationError, match=rf"round 1: Mine\.{method} returned .*{said}"):
        strategy.aggregate_train(1, [reply(client, 1.0, 2.0) for client in range(4)])
