"""What every engine keeps: the server's work is done once, on the clients by their numbers, to the same bits."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from fedrec.models.adapters import parameters_sha256
from fedrec.run.checkpoint import Checkpoint
from server.base import to_record
from simulations.engine import ENGINES
from simulations.options import RunOptions
from simulations.testing.contract import Contract
from simulations.testing.world import CLIENTS, last_round, new_run, tiny_experiment

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Played:
    """What one start of an engine shows.

    Attributes:
        calls: How often the server's work was called.
        nodes: The node ids of its grid.
        ended: The last checkpoint of two rounds under local privacy.
        answers: Client -> whether its answer was an error when it was asked for more rounds than it has paid for.
        came_out: What the engine raised after the work had raised a `LookupError`.
    """

    calls: int
    nodes: list[int]
    ended: Checkpoint
    answers: dict[int, bool]
    came_out: BaseException | None


class EngineContract(Contract):
    """The laws of an engine; it is started once for all of them.

    Attributes:
        exact: Whether it ends with the very bits of `inprocess`, as engines do that train clients in chunks; else the
            parameters are equal within 1e-5.
        options: Further fields of `RunOptions`.
    """

    exact: bool = True
    options: Mapping[str, Any] = {"workers": 2}

    @pytest.fixture
    def played(self, plugin: str) -> Played:
        """What its start showed."""
        return play(plugin, **self.options)

    def test_it_calls_the_work_once(self, played: Played) -> None:
        assert played.calls == 1

    def test_its_node_ids_are_the_clients_numbers(self, played: Played) -> None:
        assert sorted(played.nodes) == list(range(CLIENTS))

    def test_it_ends_where_inprocess_ends(self, played: Played) -> None:
        expected = play("inprocess").ended.parameters
        if self.exact:
            assert parameters_sha256(played.ended.parameters) == parameters_sha256(expected)
        for name, value in expected.items():
            torch.testing.assert_close(played.ended.parameters[name], value, rtol=0, atol=TOLERANCE)

    def test_a_client_that_refuses_answers_with_an_error(self, played: Played) -> None:
        assert played.answers == dict.fromkeys(range(CLIENTS), True)

    def test_what_the_work_raises_comes_out_as_it_is(self, played: Played) -> None:
        assert isinstance(played.came_out, LookupError)


@cache
def play(engine: str, **options: Any) -> Played:
    """Start an engine, let it do the rounds, ask the clients for one more, and end with an error."""
    seen: list[tuple[list[int], Checkpoint, dict[int, bool]]] = []
    with tempfile.TemporaryDirectory(prefix="fedrec-engine-") as folder:
        privacy = {"noise_multiplier": 0.1, "trust": "local", "noise_key": 0}
        run = new_run(Path(folder) / "run", tiny_experiment(privacy=privacy))

        def work(grid: Grid) -> None:
            ended = last_round(run, grid)
            replies = grid.send_and_receive(beyond_the_plan(run.path, ended), timeout=60)
            answers = {reply.metadata.src_node_id: reply.has_error() for reply in replies}
            seen.append((list(grid.get_node_ids()), ended, answers))
            raise LookupError

        came_out: BaseException | None = None
        try:
            ENGINES.get(engine)(work, CLIENTS, RunOptions(engine=engine, **options))
        except Exception as error:
            if not seen:
                raise
            came_out = error
    return Played(len(seen), *seen[0], came_out)


def beyond_the_plan(run: Path, ended: Checkpoint) -> list[Message]:
    """Return a message to each client that asks for a round more than its privacy plan has paid for."""
    told = ConfigRecord({"run": str(run), "server-round": ended.round + 1})
    arrays = to_record({name: value.numpy() for name, value in ended.parameters.items()})
    content = RecordDict({"arrays": arrays, "config": told})
    return [Message(content, client, MessageType.TRAIN, group_id=str(ended.round + 1)) for client in range(CLIENTS)]
