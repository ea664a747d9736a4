"""Any `flwr` strategy by dotted path: its own sampling and arithmetic, behind our checks, reproducible, resumable."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message
from flwr.server import strategy as former
from flwr.serverapp.strategy import FedAvg

from fedrec.core.errors import ConfigError, FederationError, FedrecError, PrivacyError
from server.strategies.build import check_strategy
from server.strategies.flower import seeded_global_generators
from tests.integration.conftest import NewRun, outcome
from tests.tiny import client_app, rounds_of, tiny

NO_ROWS = "no rows"
NO_CLUE = "no clue"

FLOWER = "flwr.serverapp.strategy"
OPEN = {"epsilon": float("inf")}


def named(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "options": options}


def stranger(
    name: str,
    privacy: dict[str, Any] | None = None,
    rounds: int = 2,
    training: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    sections = {"training": training} if training else {}
    return tiny(rounds=rounds, strategy=named(f"{FLOWER}:{name}", **options), privacy=privacy or {}, **sections)


def silent_in(number: int) -> Callable[[Message, Context, Message], Message]:
    """Return the fault of clients that all raise in a round."""

    def failing(message: Message, context: Context, answer: Message) -> Message:
        if message.content.config_records["config"]["server-round"] == number:
            raise ValueError(NO_ROWS)
        return answer

    return failing


@pytest.mark.parametrize(
    ("name", "options"),
    [("FedAdam", {"eta": 0.01}), ("FedMedian", {}), ("Krum", {"num_malicious_nodes": 1}), ("FedTrimmedAvg", {})],
)
def test_flowers_own_strategies_run(start: NewRun, name: str, options: dict[str, Any]) -> None:
    run = start(stranger(name, rounds=1, **options))
    rounds_of(run)
    _, line = run.rounds()
    assert (line["replies"], line["rejected"]) == (4, {})
    assert line["update_norm"] > 0


def test_flowers_fedavg_agrees_with_ours(start: NewRun) -> None:
    theirs = rounds_of(start(stranger("FedAvg", OPEN)))
    ours = rounds_of(start(tiny(privacy=OPEN)))
    for name, value in ours.parameters.items():
        torch.testing.assert_close(theirs.parameters[name], value, rtol=1e-4, atol=1e-6)


def test_flowers_fedprox_pulls_its_clients_as_ours_does(start: NewRun) -> None:
    training = {"steps": 3, "lr": 0.5}
    theirs = rounds_of(start(stranger("FedProx", OPEN, proximal_mu=0.5, training=training)))
    ours = rounds_of(start(tiny(privacy=OPEN, strategy=named("fedprox", mu=0.5), training=training)))
    unpulled = rounds_of(start(tiny(privacy=OPEN, training=training)))
    for name, value in ours.parameters.items():
        torch.testing.assert_close(theirs.parameters[name], value, rtol=1e-4, atol=1e-6)
    assert any((unpulled.parameters[name] - value).abs().max() > 1e-3 for name, value in ours.parameters.items())


class Telling(FedAvg):
    """Tells its clients to clip, which Flower's own clients would need a mod for."""

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        config["clipping_norm"] = 0.1
        return super().configure_train(server_round, arrays, config, grid)


def test_what_no_client_listens_to_does_not_vanish(start: NewRun) -> None:
    run = start(tiny(strategy=named(f"{__name__}:Telling"), privacy=OPEN))
    with pytest.raises(ConfigError, match="Telling tells clients clipping_norm, to which no client of ours listens"):
        rounds_of(run)


def test_its_own_sampling_is_the_same_each_time_and_leaves_global_randomness_alone(start: NewRun) -> None:
    experiment = stranger("FedAvgM", rounds=4, fraction_train=0.5, server_momentum=0.9)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = start(experiment)
    one = outcome(first, rounds_of(first))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    random.seed(2)
    second = start(experiment)
    assert outcome(second, rounds_of(second)) == one
    assert [line["cohort"] for line in one.lines[1:]] == [2, 2, 2, 2]


class Drawing(FedAvg):
    """Draws from all three global generators: when it is made, when it asks and when it aggregates."""

    def __init__(self) -> None:
        super().__init__()
        self.start = drawn()

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        self.asked = drawn()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        arrays, metrics = super().aggregate_train(server_round, replies)
        moved = 1 + 0.01 * (self.start + self.asked + drawn())
        for array in arrays.values():
            array.data = type(array)((array.numpy() * moved).astype(np.float32)).data
        return arrays, metrics


def drawn() -> float:
    return random.random() + float(np.random.random()) + float(torch.rand(()))  # noqa: NPY002


def test_what_a_stranger_draws_from_global_generators_is_the_runs_own(start: NewRun) -> None:
    experiment = tiny(rounds=3, strategy={"name": f"{__name__}:Drawing", "options": {}})
    outcomes = []
    for noise in (1, 2):
        random.seed(noise), np.random.seed(noise), torch.manual_seed(noise)  # noqa: NPY002
        run = start(experiment)
        outcomes.append(outcome(run, rounds_of(run)))
    broken = start(experiment)
    with pytest.raises(FederationError, match="round 2: 0 usable replies of 4"):
        rounds_of(broken, client_app(silent_in(2)))
    random.seed(3), np.random.seed(3), torch.manual_seed(3)  # noqa: NPY002
    assert outcomes == [outcome(broken, rounds_of(broken))] * 2


def test_global_generators_are_put_back_also_when_a_hook_raises() -> None:
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    before = drawn()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    with seeded_global_generators(0, "a hook", 1):
        first = drawn()
    with suppress(ValueError), seeded_global_generators(0, "a hook", 1):
        assert drawn() == first
        raise ValueError(NO_CLUE)
    assert drawn() == before != first


def test_a_resumed_stranger_goes_on_with_its_momentum(start: NewRun) -> None:
    experiment = stranger("FedAdam", rounds=3, eta=0.01, beta_1=0.9)
    steady = start(experiment)
    whole = outcome(steady, rounds_of(steady))
    broken = start(experiment)
    with pytest.raises(FederationError, match="round 3: 0 usable replies of 4"):
        rounds_of(broken, client_app(silent_in(3)))
    assert outcome(broken, rounds_of(broken)) == whole


def test_a_bad_reply_never_reaches_the_stranger(start: NewRun) -> None:
    def poisoned(message: Message, context: Context, answer: Message) -> Message:
        if context.node_config["partition-id"] == 0:
            arrays = answer.content.array_records["arrays"]
            for array in arrays.values():
                array.data = type(array)(array.numpy() * np.nan).data
        return answer

    run = start(stranger("FedAvg", rounds=1))
    last = rounds_of(run, client_app(poisoned))
    assert run.rounds()[1]["rejected"] == {"not finite": 1}
    assert all(torch.isfinite(value).all() for value in last.parameters.values())


def test_clients_with_an_empty_batch_do_not_confuse_it(start: NewRun) -> None:
    # At this rate some client's only batch is empty, so its reply carries no training loss.
    experiment = tiny(
        rounds=3,
        strategy={"name": f"{FLOWER}:FedAvg", "options": {}},
        privacy=OPEN,
        training={"sampling_rate": 0.005},
    )
    run = start(experiment)
    rounds_of(run)
    assert [line["rejected"] for line in run.rounds()[1:]] == [{}, {}, {}]


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("FedAvg", {"min_available_nodes": 9}, "waits for 9 clients, there are 4; set strategy.options.min_available"),
        ("FedAvg", {"min_train_nodes": 5}, "waits for 5 clients, there are 4; set strategy.options.min_train_nodes"),
        ("FedAvg", {"fraction": 1}, r"strategy.options do not fit FedAvg: .*'fraction'"),
        ("Nobody", {}, r"cannot be imported .*write package.module:Class"),
    ],
)
def test_what_it_cannot_do_is_said(start: NewRun, name: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        rounds_of(start(stranger(name, **options)))


def test_central_privacy_with_a_stranger_is_refused() -> None:
    for trust in ("central", "secure-aggregation"):
        with pytest.raises(PrivacyError, match=trust):
            check_strategy(stranger("FedAvg", {"epsilon": 8, "trust": trust}))


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"strategy OrderedDict is no flwr\.serverapp\.strategy\.Strategy"):
        check_strategy(tiny(strategy={"name": "collections:OrderedDict", "options": {}}))


class OwnFormer(former.FedAdam):
    """A user's, of the former interface."""


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("flwr.server.strategy:FedAdam", r"name flwr\.serverapp\.strategy:FedAdam"),
        ("flwr.server.strategy:FaultTolerantFedAvg", r"no FaultTolerantFedAvg .*; name another of flwr\.serverapp"),
        (f"{__name__}:OwnFormer", r"derive it from flwr\.serverapp\.strategy\.FedAdam and write configure_train"),
        (f"{__name__}:former_by_function", r"name flwr\.serverapp\.strategy:Krum"),
    ],
)
def test_flowers_former_interface_is_refused_with_the_way_out(name: str, way_out: str) -> None:
    with pytest.raises(ConfigError, match=rf"former interface, flwr\.server\.strategy .*{way_out}"):
        check_strategy(tiny(strategy={"name": name, "options": {}}))


def former_by_function() -> former.Strategy:
    return former.Krum()


class Broken(FedAvg):
    """Fails in a way of its own."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        arrays, metrics = super().aggregate_train(server_round, replies)
        match self.how:
            case "raises":
                raise ZeroDivisionError(NO_CLUE)
            case "nothing":
                return None, None
            case "nan":
                for array in arrays.values():
                    array.data = type(array)(array.numpy() * np.nan).data
        return arrays, metrics


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("raises", r"round 1: Broken.aggregate_train raised ZeroDivisionError: no clue \(.*test_foreign_strategy"),
        ("nothing", "round 1: strategy Broken made no adapter of the shape that was sent"),
        ("nan", "round 1: strategy Broken returned NaN or infinity"),
    ],
)
def test_a_stranger_that_fails_is_named(start: NewRun, how: str, complaint: str) -> None:
    experiment = tiny(strategy={"name": f"{__name__}:Broken", "options": {"how": how}})
    with pytest.raises(FedrecError, match=complaint):
        rounds_of(start(experiment))
