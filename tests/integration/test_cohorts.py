"""Chunks of clients against the ClientApp, one client at a time: the same run up to rounding, the same ledger."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

import clients.cohort
from clients.cohort import CohortRequest, answer_cohort
from fedrec.core.errors import FederationError
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortTask, CohortUpdate, nobody
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.work import Parameters
from tests.integration.conftest import NewRun, Outcome, outcome
from tests.integration.many import Many
from tests.tiny import rounds_of, tiny


@pytest.mark.parametrize("partition", ["shards", "users"])
def test_a_run_in_chunks_is_the_run_of_its_clients_alone_up_to_rounding(
    partition: str, many: Many, start: NewRun
) -> None:
    if partition == "users":
        in_chunks, chunked = many.run(OneProcess())
        alone = many.new()
        last = rounds_of(alone, clients=len(alone.job.prepared.federation))
    else:
        in_chunks, alone = start(tiny()), start(tiny())
        chunked, last = rounds_of(in_chunks, grid=CohortGrid(4, OneProcess(), answer_cohort)), rounds_of(alone)
    assert chunked.ledger == last.ledger
    for name, value in last.parameters.items():
        np.testing.assert_allclose(chunked.parameters[name], value, rtol=0, atol=1e-5)
    for one, other in zip(in_chunks.rounds(), alone.rounds(), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert [one.get(key) for key in ("cohort", "replies", "epsilon")] == [
            other.get(key) for key in ("cohort", "replies", "epsilon")
        ]


def test_a_killed_run_in_chunks_goes_on_to_the_same_bits(many: Many, many_steady: Outcome) -> None:
    run, last = many.run(OneProcess())
    newest = max((run.private / "checkpoints").iterdir())
    newest.unlink()
    assert last.round == 2
    assert outcome(run, many.go_on(run, OneProcess())) == many_steady


def test_a_client_that_raises_fails_alone_and_is_named_with_its_round(
    many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = many.new().job.cohort(1)[5]
    real = clients.cohort.train_cohort

    def train_cohort(context: TrainingContext, task: CohortTask) -> CohortUpdate:
        if victim in task.clients and task.round == 1:
            message = "no rows"
            raise ValueError(message)
        return real(context, task)

    monkeypatch.setattr(clients.cohort, "train_cohort", train_cohort)
    run, _ = many.run(OneProcess())
    assert many.rejected(run, 1) == {victim: "client failed: ValueError: no rows (round 1)"}
    assert many.rejected(run, 2) == {}


def test_too_few_usable_answers_fail_the_round_and_say_why(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_cohort(context: TrainingContext, task: CohortTask) -> CohortUpdate:
        raise MemoryError

    monkeypatch.setattr(clients.cohort, "train_cohort", train_cohort)
    with pytest.raises(FederationError, match=r"0 usable replies of \d+.*MemoryError"):
        many.run(OneProcess())


def test_messages_of_equal_content_are_one_chunk_whoever_built_it() -> None:
    requests: list[CohortRequest] = []

    def train(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        requests.append(request)
        return nobody(dict.fromkeys(request.clients, f"{parameters['w'][0]} {extras}"))

    def content(value: float, number: int, **extras: float) -> RecordDict:
        def record(**values: float) -> ArrayRecord:
            return ArrayRecord({name: Array(np.float32([one])) for name, one in values.items()})

        config = ConfigRecord({"run": "here", "server-round": number})
        made = RecordDict({"arrays": record(w=value), "config": config})
        return RecordDict({**made, "extras": record(**extras)}) if extras else made

    grid = CohortGrid(9, OneProcess(), train, lambda _, clients: np.ones(len(clients), np.int64))
    told = [content(1, 1), content(1, 1), content(2, 1), content(1, 1), content(1, 2), content(1, 1, shift=3)]
    shared = content(2, 1)
    messages = [Message(one, client, "train") for client, one in enumerate([*told, shared, shared])]
    grid.send_and_receive(messages)
    assert [list(request.clients) for request in requests] == [[0, 1, 3], [2, 6, 7], [4], [5]]
    assert [request.round for request in requests] == [1, 1, 2, 1]


def test_other_messages_go_to_the_client_app(tmp_path: Path) -> None:
    grid = CohortGrid(3, OneProcess(), answer_cohort)
    questions = [Message(RecordDict(), client, "query") for client in (2, 0)]
    answers = grid.send_and_receive(questions)
    assert [answer.content["node"]["partition-id"] for answer in answers] == [2, 0]
    assert grid.send_and_receive([]) == []
