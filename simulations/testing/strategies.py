"""What every strategy keeps: the same bits for any order of replies and over any restart, whoever fails."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from clients.app import app
from fedrec.core.errors import ConfigError, Interrupted, PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import parameters_sha256
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from server.base import STRATEGIES
from server.strategies.build import check_strategy
from simulations.engine.inprocess import InProcessGrid
from simulations.testing.contract import Contract
from simulations.testing.world import CLIENTS, last_round, new_run, tiny_experiment

ROUNDS = 2

Start = Callable[[], RunDirectory]


class StrategyContract(Contract):
    """The laws of a strategy, ours or Flower's, with its client rule if it has one: real rounds of four clients.

    Attributes:
        options: What an experiment would write into `strategy.options`.
        fewest_replies: With how many usable replies it can work.
    """

    options: Mapping[str, Any] = {}
    fewest_replies: int = 1

    @pytest.fixture
    def experiment(self, plugin: str) -> Experiment:
        """Two rounds without privacy."""
        return tiny_experiment(rounds=ROUNDS, strategy={"name": plugin, "options": dict(self.options)})

    @pytest.fixture
    def start(self, experiment: Experiment, tmp_path: Path) -> Start:
        """Make a new run of the experiment."""
        return lambda: new_run(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", experiment)

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (STRATEGIES.get(plugin).__doc__ or "").strip()

    def test_an_option_that_it_does_not_have_is_refused_by_name(self, experiment: Experiment) -> None:
        options = {**experiment.strategy.options, "no_such_option": 9}
        strategy = experiment.strategy.model_copy(update={"options": options})
        with pytest.raises(ConfigError, match="no_such_option"):
            check_strategy(experiment.model_copy(update={"strategy": strategy}))

    def test_the_same_seed_moves_the_adapter_to_the_same_bits(self, start: Start) -> None:
        run = start()
        ended = last_round(run)
        assert_finite(ended)
        assert sha256(ended) != parameters_sha256(run.job.training_context.shared_start)
        assert sha256(last_round(start())) == sha256(ended)

    def test_a_run_that_was_stopped_goes_on_to_the_same_bits(self, start: Start) -> None:
        stopped = start()
        with pytest.raises(Interrupted):
            last_round(stopped, until=1)
        assert sha256(last_round(stopped)) == sha256(last_round(start()))

    def test_the_order_of_replies_moves_no_bit(self, start: Start) -> None:
        straight = last_round(start(), grid=Tampering(list))
        assert sha256(last_round(start(), grid=Tampering(lambda replies: replies[::-1]))) == sha256(straight)

    def test_who_fails_or_answers_nan_is_left_out_and_reported(self, start: Start) -> None:
        run = start()
        ended = last_round(run, grid=Tampering(lambda r: [failure(r[0]), poisoned(r[1]), *r[2:]]))
        assert_finite(ended)
        assert [line["rejected"] for line in run.rounds()[1:]] == [{"client failed": 1, "not finite": 1}] * ROUNDS

    def test_it_works_with_the_fewest_replies(self, start: Start) -> None:
        few = self.fewest_replies
        ended = last_round(start(), grid=Tampering(lambda r: [*r[:few], *(failure(one) for one in r[few:])]))
        assert_finite(ended)

    def test_answers_that_weigh_nothing_move_nothing(self, start: Start) -> None:
        run = start()
        ended = last_round(run, grid=Tampering(lambda replies: [weightless(one) for one in replies]))
        assert sha256(ended) == parameters_sha256(run.job.training_context.shared_start)

    @pytest.mark.parametrize("trust", ["local", "central", "secure-aggregation"])
    def test_a_privacy_claim_is_kept_or_refused_before_the_run(self, plugin: str, trust: str, tmp_path: Path) -> None:
        private = tiny_experiment(
            rounds=1,
            strategy={"name": plugin, "options": dict(self.options)},
            federation={"partition": "users"},
            privacy={"epsilon": 8.0, "trust": trust},
        )
        if refusal := refused(private):
            assert trust in refusal
        else:
            assert_finite(last_round(new_run(tmp_path / "run", private)))


class Tampering(InProcessGrid):
    """The real clients, one at a time, whose replies of a round are tampered with on their way to the server.

    Args:
        tamper: From the replies of a round, in the clients' order, to what the server is given.
    """

    def __init__(self, tamper: Callable[[list[Message]], list[Message]]) -> None:
        super().__init__(app, CLIENTS)
        self._tamper = tamper

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Return the replies, tampered with."""
        return self._tamper(super().send_and_receive(messages, timeout=timeout))


def refused(experiment: Experiment) -> str:
    """Return why the strategy's privacy claim is refused; "" if it is not."""
    try:
        check_strategy(experiment)
    except PrivacyError as error:
        return str(error)
    return ""


def failure(reply: Message) -> Message:
    """Return the answer of a client that failed, in place of its reply."""
    failed = Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "ValueError: no rows"), reply_to=reply)
    failed.metadata.__dict__["_src_node_id"] = reply.metadata.src_node_id
    return failed


def poisoned(reply: Message) -> Message:
    """Return the reply with NaN in place of all parameters."""
    for array in reply.content.array_records["arrays"].values():
        array.data = type(array)(array.numpy() * np.nan).data
    return reply


def weightless(reply: Message) -> Message:
    """Return the reply of a client without examples."""
    reply.content.metric_records["metrics"]["num-examples"] = 0.0
    return reply


def sha256(ended: Checkpoint) -> str:
    """Return the hash of the global adapter."""
    return parameters_sha256(ended.parameters)


def assert_finite(ended: Checkpoint) -> None:
    """Every parameter of the global adapter is finite."""
    assert not [name for name, value in ended.parameters.items() if not torch.isfinite(value).all()]
