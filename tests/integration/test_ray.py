"""Chunks on real Ray actors: the same bits as in one process, also when actors die or hang."""

import _thread
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cohort import CohortRequest, answer_cohort
from fedrec.training.task import CohortUpdate
from simulations.engine.cohorts import OneProcess
from simulations.engine.ray_pool import RayWorkerPool
from simulations.engine.ray_session import ray_session
from simulations.engine.work import Answers, Parameters, Train
from tests.integration.conftest import Outcome, outcome
from tests.integration.many import Many


@pytest.fixture(scope="module")
def pool(many: Many) -> Iterator[RayWorkerPool]:
    with ray_session(4):
        made = RayWorkerPool(2)
        yield made
        made.close()


@pytest.fixture(scope="module")
def one_actor(pool: RayWorkerPool) -> Iterator[RayWorkerPool]:
    del pool  # opens the session
    made = RayWorkerPool(1)
    yield made
    made.close()


def once(marker: Path, fault: str) -> Train:
    """Return a trainer that breaks down at its first chunk; a closure, so that it travels to workers by value."""

    def train(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        if not marker.exists():
            marker.write_text(str(os.getpid()))
            if fault == "dies":
                os._exit(9)
            time.sleep(600)
        return answer_cohort(request, parameters, extras)

    return train


def test_one_process_one_actor_and_two_give_the_same_bits_lines_and_ledger(
    many: Many, many_steady: Outcome, pool: RayWorkerPool, one_actor: RayWorkerPool
) -> None:
    assert outcome(*many.run(pool)) == many_steady
    assert outcome(*many.run(one_actor)) == many_steady


def test_sums_made_in_secret_have_the_same_bits_in_one_process_and_on_actors(many: Many, pool: RayWorkerPool) -> None:
    changes = {"privacy": {"trust": "secure-aggregation"}, "federation": {"participation": 0.02}}
    assert outcome(*many.run(pool, **changes)) == outcome(*many.run(OneProcess(), **changes))


def test_filters_have_the_same_bits_in_one_process_and_on_actors(many: Many, pool: RayWorkerPool) -> None:
    central = {"trust": "central", "delta": 1e-4, "clip_norm": 1.0, "filter_rounds": 1}
    alone = outcome(*many.run(OneProcess(), privacy=central))
    assert outcome(*many.run(pool, privacy=central)) == alone
    left = [line["filter"]["active"] for line in alone.lines[1:]]
    assert 0 < left[1] < left[0], "some are done, and some are not"


def test_an_actor_that_dies_in_a_round_is_replaced_and_changes_no_bit(
    many: Many, many_steady: Outcome, pool: RayWorkerPool, tmp_path: Path
) -> None:
    run, last = many.run(pool, once(tmp_path / "marker", "dies"))
    assert (tmp_path / "marker").exists()
    assert many.rejected(run, 1) == {}
    assert outcome(run, last) == many_steady


def test_a_client_that_takes_every_actor_with_it_fails_alone(many: Many, pool: RayWorkerPool) -> None:
    victim = many.run(OneProcess())[0].job.cohort(1)[3]

    def train(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        if request.round == 1 and victim in request.clients:
            os._exit(9)
        return answer_cohort(request, parameters, extras)

    run, _ = many.run(pool, train)
    assert many.rejected(run, 1) == {victim: "client failed: its worker died (ActorDiedError)"}
    assert many.rejected(run, 2) == {}
    assert [line["replies"] - line["cohort"] for line in run.rounds()[1:]] == [-1, 0]


def test_a_round_ends_with_its_timeout_and_the_next_one_has_its_actors(
    many: Many, pool: RayWorkerPool, tmp_path: Path
) -> None:
    began = time.monotonic()
    run, _ = many.run(pool, once(tmp_path / "marker", "hangs"), federation={"timeout": 24.0})
    assert time.monotonic() - began < 120
    late = many.rejected(run, 1)
    assert len(late) >= 8
    assert set(late.values()) == {"no reply: nothing came within federation.timeout"}
    assert many.rejected(run, 2) == {}


@pytest.mark.slow
def test_a_client_that_hangs_when_it_is_asked_alone_holds_no_round_longer(many: Many, pool: RayWorkerPool) -> None:
    victim = many.new().job.cohort(1)[3]

    def train(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        if request.round == 1 and victim in request.clients:
            if len(request.clients) > 1:
                os._exit(9)
            time.sleep(600)
        return answer_cohort(request, parameters, extras)

    began = time.monotonic()
    # one round: both actors may have died for it, and a busy machine may take longer than that to start new ones
    run, _ = many.run(pool, train, rounds=1, federation={"timeout": 40.0})
    assert time.monotonic() - began < 120
    assert many.rejected(run, 1)[victim] == "no reply: nothing came within federation.timeout"


@pytest.mark.parametrize(
    "strategy",
    ["fedadam", "flwr.serverapp.strategy:FedAvg", pytest.param("median", marks=pytest.mark.slow)],
)
def test_every_kind_of_strategy_gives_the_same_bits_in_one_process_and_on_actors(
    many: Many, pool: RayWorkerPool, strategy: str
) -> None:
    changes = {"strategy": {"name": strategy}, "privacy": {"epsilon": float("inf")}, "rounds": 1}
    assert outcome(*many.run(pool, **changes)) == outcome(*many.run(OneProcess(), **changes))


def test_ctrl_c_ends_actors_at_once_whatever_they_do(many: Many, pool: RayWorkerPool, tmp_path: Path) -> None:
    marker, sleeper = tmp_path / "marker", RayWorkerPool(1)

    def interrupt() -> None:
        while not marker.exists() or not marker.read_text():
            time.sleep(0.05)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    request = CohortRequest(str(many.folder), [0], 1)
    with pytest.raises(KeyboardInterrupt):
        list(sleeper.do(Answers(once(marker, "hangs")), [request], {}, {}, None))
    sleeper.close()
    deadline = time.monotonic() + 10
    while _runs(int(marker.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
