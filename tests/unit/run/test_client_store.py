import errno
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.cohort import admit
from fedrec.core.errors import RunError
from fedrec.experiment.config import Experiment
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run.client_store import ClientStore, Column

START = {"bias": torch.tensor([7.0, 8.0])}
LOCAL = Experiment(privacy=PrivacyConfig(epsilon=8.0, trust="local"))

# The one that test_kill_and_resume lets import everything beforehand; a fork of this process would inherit threads.
context = multiprocessing.get_context("forkserver")


def store(folder, clients=4, rounds=10, start=START):
    return ClientStore(folder, clients, rounds, start)


def bias(*values):
    """Return the same private value twice for each client."""
    return {"bias": torch.tensor([[value, value] for value in values])}


def recalled(found, clients, before):
    return found.recall(clients, before)["bias"].tolist()


def test_before_anything_was_kept_each_client_has_the_start(tmp_path):
    assert recalled(store(tmp_path), [3, 0], before=1) == [[7.0, 8.0], [7.0, 8.0]]
    assert store(tmp_path).charged([3, 0]).tolist() == [0, 0]
    assert list(tmp_path.iterdir()) == []


def test_the_newest_round_before_the_one_in_hand_counts(tmp_path):
    store(tmp_path).keep([1, 3], bias(1.0, 3.0), 1)
    store(tmp_path).keep([3], bias(3.5), 4)
    found = store(tmp_path)
    assert recalled(found, [3, 2, 1], before=5) == [[3.5, 3.5], [7.0, 8.0], [1.0, 1.0]]
    assert recalled(found, [3], before=4) == [[3.0, 3.0]]
    assert recalled(found, [3], before=1) == [[7.0, 8.0]]


def test_a_round_run_again_starts_from_the_state_before_it_and_replaces_its_own(tmp_path):
    found = store(tmp_path)
    for number in (1, 2, 3):
        found.keep([0], bias(float(number)), number)
    for attempt in (30.0, 31.0):
        assert recalled(found, [0], before=3) == [[2.0, 2.0]]
        found.keep([0], bias(attempt), 3)
        assert recalled(found, [0], before=4) == [[attempt, attempt]]


def test_the_first_round_run_again_replaces_its_own(tmp_path):
    found = store(tmp_path)
    for attempt in (1.0, 2.0):
        assert recalled(found, [0], before=1) == [[7.0, 8.0]]
        found.keep([0], bias(attempt), 1)
        assert recalled(found, [0], before=2) == [[attempt, attempt]]


def test_of_many_rounds_the_last_two_are_kept(tmp_path):
    found = store(tmp_path)
    for number in range(1, 6):
        found.keep([2], bias(float(number)), number)
    assert [recalled(found, [2], before)[0][0] for before in (6, 5, 4)] == [5.0, 4.0, 7.0]
    assert (tmp_path / "private.u1").stat().st_size == 4 * 2 * 2 * 4  # clients, slots, values, bytes of a float


@pytest.mark.parametrize("torn", [False, True])
def test_killed_between_the_bytes_and_their_number_the_state_before_counts(tmp_path, monkeypatch, torn):
    for number in (1, 2):
        store(tmp_path).keep([0], bias(float(number)), number)
    real = Column.write

    def killed(self, rows, values):
        if self.path.name == "private.u1":
            real(self, rows, np.where(np.arange(8) < 4, values, 0) if torn else values)
            raise KeyboardInterrupt
        real(self, rows, values)

    monkeypatch.setattr(Column, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        store(tmp_path).keep([0], bias(3.0), 3)
    monkeypatch.undo()
    found = store(tmp_path)
    assert recalled(found, [0], before=4) == recalled(found, [0], before=3) == [[2.0, 2.0]]
    assert recalled(found, [0], before=2) == [[7.0, 8.0]], "a torn slot is not the round it was before"
    found.keep([0], bias(3.0), 3)
    assert recalled(found, [0], before=4) == [[3.0, 3.0]]


def test_a_round_charged_twice_is_paid_once(tmp_path):
    found = store(tmp_path)
    found.charge([0, 2], 8)
    found.charge([2], 8)
    found.charge([2], 10)
    assert found.charged([0, 1, 2], including=9).tolist() == [2, 1, 3]
    assert found.charged([2], including=8).tolist() == [2]
    assert store(tmp_path).charged([0, 1, 2]).tolist() == [1, 0, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["charged.u1"]


def test_without_private_parameters_nothing_is_kept(tmp_path):
    found = store(tmp_path, start={})
    found.keep([0], {}, 1)
    assert found.recall([0], before=2) == {}
    assert list(tmp_path.iterdir()) == []


def test_what_lies_beside_it_is_as_safe_and_independent(tmp_path):
    found = store(tmp_path)
    rule = found.beside("rule", {"control": torch.zeros(1)})
    found.keep([1], bias(1.0), 1)
    rule.keep([1, 2], {"control": torch.tensor([[5.0], [6.0]])}, 1)
    rule.keep([1], {"control": torch.tensor([[7.0]])}, 2)
    again = store(tmp_path).beside("rule", {"control": torch.zeros(1)})
    assert again.recall([0, 1, 2], before=2)["control"].tolist() == [[0.0], [5.0], [6.0]]
    assert again.recall([1], before=3)["control"].tolist() == [[7.0]]
    assert recalled(store(tmp_path), [1, 2], before=3) == [[1.0, 1.0], [7.0, 8.0]]
    with pytest.raises(RunError, match="other clients wrote it"):
        store(tmp_path).beside("rule", {"control": torch.zeros(2)}).recall([0], before=1)


def test_of_no_clients_nothing_is_known(tmp_path):
    found = store(tmp_path)
    found.keep([], {}, 1)
    found.charge([], 1)
    assert found.recall([], before=2)["bias"].shape == (0, 2)
    assert found.charged([]).tolist() == []


def test_a_client_refuses_the_round_that_its_plan_does_not_hold(tmp_path):
    budget = replace(plan(LOCAL, UnitCounts(users=4, examples=4, clients=4), 2), steps=3)  # 2 rounds of 3 releases
    found = store(tmp_path)
    assert admit(found, budget, [0, 1], 1) == {}
    assert admit(found, budget, [1, 2], 2) == {}
    assert admit(found, budget, [1, 2], 2) == {}, "a round run again is paid once"
    why = "client 1 was asked for 9 releases, its budget is 6; it does not answer"
    assert admit(found, budget, [0, 1, 2], 3) == {1: why}
    assert found.charged([0, 1, 2, 3]).tolist() == [2, 2, 2, 0]


@pytest.mark.parametrize("trust", ["none", "server"])
def test_nobody_is_charged_where_clients_add_no_noise(tmp_path, trust):
    made = replace(plan(LOCAL, UnitCounts(users=4, examples=4, clients=4), 1), trust=trust)
    assert admit(store(tmp_path), made, [0], 1) == admit(store(tmp_path), made, [0], 2) == {}
    assert list(tmp_path.iterdir()) == []


def half(folder: str, clients: list[int]) -> None:
    """Keep and charge ten rounds for some clients."""
    mine = store(Path(folder), clients=64)
    for number in range(1, 11):
        mine.keep(clients, bias(*(client + number / 100 for client in clients)), number)
        mine.charge(clients, number)


def test_two_processes_write_their_own_clients_at_the_same_time(tmp_path):
    watching = store(tmp_path, clients=64)
    shares = [list(range(0, 64, 2)), list(range(1, 64, 2))]
    processes = [context.Process(target=half, args=(str(tmp_path), share)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    for before in (10, 11):
        expected = bias(*(client + (before - 1) / 100 for client in range(64)))
        assert torch.equal(watching.recall(range(64), before)["bias"], expected["bias"])
    assert watching.charged(range(64)).tolist() == [10] * 64


@pytest.mark.parametrize(
    ("changed", "file", "found", "expected"),
    [
        ({"clients": 5}, "charged", "24 bytes", "5 rows of 6 uint8 have 30"),
        ({"rounds": 16}, "charged", "24 bytes", "4 rows of 7 uint8 have 28"),
        ({"start": {"bias": torch.zeros(3)}}, "private", "64 bytes", "8 rows of 12 uint8 have 96"),
        ({"start": {}}, "private", "64 bytes", "8 rows of 0 uint8 have 0"),
    ],
)
def test_columns_of_other_clients_are_refused(tmp_path, changed, file, found, expected):
    store(tmp_path).keep([0], bias(1.0), 1)
    store(tmp_path).charge([0], 1)
    with pytest.raises(RunError, match=rf"{file}.u1 has {found}, but {expected}; other clients .* another --out"):
        store(tmp_path, **changed)


@pytest.mark.parametrize("client", [-1, 4])
def test_a_client_that_the_run_does_not_have_is_refused(tmp_path, client):
    with pytest.raises(RunError, match=f"client {client} is none of this run's 4"):
        store(tmp_path).charge([0, client], 1)
    assert list(tmp_path.iterdir()) == []


def test_of_a_million_clients_only_those_asked_for_cost_anything(tmp_path):
    million, width = 1_000_000, 1_000
    found = store(tmp_path, clients=million, rounds=100, start={"bias": torch.zeros(width)})
    clients = np.arange(500, million, million // 1_000)
    values = torch.randn(1_000, width)
    found.keep(clients, {"bias": values}, 1)
    found.charge(clients, 1)
    assert torch.equal(found.recall(clients, before=2)["bias"], values)
    assert found.recall(clients + 1, before=2)["bias"].count_nonzero() == 0
    assert found.charged(clients - 1).sum() == 0
    files = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert files["private.u1"].st_size == million * 2 * width * 4
    # 1,000 rows touch at most two pages each beside those that they fill.
    assert sum(status.st_blocks * 512 for status in files.values()) < 1_000 * (width * 4 + 6 * 4096)


def test_each_parameter_keeps_its_type_and_shape(tmp_path):
    start = {
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "double": torch.tensor([[0.1, 0.2]], dtype=torch.float64),
        "scalar": torch.tensor(3.0),
        "count": torch.tensor([2**40]),
    }
    found = store(tmp_path, start=start)
    found.keep([2], {name: 2 * value[None] for name, value in start.items()}, 1)
    for clients in ([2], [0, 2]):
        for name, value in found.recall(clients, before=2).items():
            assert value.dtype == start[name].dtype
            assert value.shape == (len(clients), *start[name].shape)
            assert torch.equal(value[-1], 2 * start[name])


def test_a_full_disk_is_an_error_and_what_was_before_counts(tmp_path, monkeypatch):
    found = store(tmp_path)
    found.keep([0], bias(1.0), 1)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, row, place: real(file, row[:4], place))
    with pytest.raises(OSError, match=r"private\.u1") as full:
        found.keep([0], bias(2.0), 2)
    assert full.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert recalled(found, [0], before=3) == [[1.0, 1.0]]


@pytest.mark.parametrize("file", ["charged.u1", "rounds.u4", "private.u1"])
def test_any_flipped_bit_of_what_a_client_keeps_is_seen(tmp_path, file):
    for number in (1, 2):
        store(tmp_path).keep([0], bias(float(number)), number)
        store(tmp_path).charge([0], number)
    whole = (tmp_path / file).read_bytes()
    used = len(whole) // 4  # the row of client 0 and its slots
    for place in range(used):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / file).write_bytes(bytes(damaged))
        with pytest.raises(RunError, match=r"what client 0 keeps in .* is not what was written"):
            (store(tmp_path).recall([0], before=3), store(tmp_path).charged([0]))
    (tmp_path / file).write_bytes(whole)
    assert (recalled(store(tmp_path), [0], before=3), store(tmp_path).charged([0]).tolist()) == ([[2.0, 2.0]], [2])
