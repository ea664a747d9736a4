import pytest
import torch
from safetensors import SafetensorError

from clients.state import KEPT, ClientState, keep, recall
from fedrec.privacy.accounting import Release
from fedrec.privacy.ledger import Ledger

RELEASE = Release(1.0, 1.0, 1)


def state(value, rounds):
    ledger = Ledger()
    for number in range(1, rounds + 1):
        ledger = ledger.charge(number, [3], RELEASE)
    return ClientState({"bias": torch.tensor([value])}, ledger)


def test_a_client_starts_with_nothing_kept_and_nothing_spent(tmp_path):
    found = recall(tmp_path / "3", before=1)
    assert dict(found.private) == {}
    assert found.ledger == Ledger()


def test_a_client_remembers_its_parameters_and_what_it_spent(tmp_path):
    keep(tmp_path, state(0.5, rounds=1), 1)
    found = recall(tmp_path, before=2)
    assert found.private["bias"].tolist() == [0.5]
    assert found.ledger.releases(3)[0].count == 1


def test_a_round_run_again_starts_from_the_state_before_it(tmp_path):
    keep(tmp_path, state(1.0, rounds=1), 1)
    keep(tmp_path, state(4.0, rounds=2), 4)
    assert recall(tmp_path, before=4).private["bias"].tolist() == [1.0]
    keep(tmp_path, state(4.0, rounds=2), 4)
    assert recall(tmp_path, before=5).ledger.releases(3)[0].count == 2


def test_only_what_a_resume_can_need_is_kept(tmp_path):
    for number in range(1, 6):
        keep(tmp_path, state(float(number), rounds=number), number)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "round-000004.safetensors",
        "round-000005.safetensors",
    ]
    assert KEPT == 2


def test_a_client_without_private_parameters_keeps_its_ledger(tmp_path):
    keep(tmp_path, ClientState(ledger=Ledger().charge(1, [0], RELEASE)), 1)
    assert recall(tmp_path, before=2).ledger.releases(0)[0].count == 1


def test_a_damaged_state_is_an_error_and_never_a_fresh_start(tmp_path):
    keep(tmp_path, state(1.0, rounds=1), 1)
    (tmp_path / "round-000001.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(SafetensorError):
        recall(tmp_path, before=2)
