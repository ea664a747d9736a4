"""An attack: who is malicious is drawn once, and nobody else sends anything but its own change."""

from typing import Any

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import TransformConfig
from fedrec.transforms.attack import Attack
from fedrec.transforms.base import Sender
from fedrec.transforms.pipeline import Transforms
from tests.transforming import Backwards, named

CHANGE = {"w": np.array([1.0, -2.0], np.float32)}
CLIENTS = 50


def malicious(attack: Attack, round_number: int = 1, **how: Any) -> set[int]:
    senders = [Sender(client, round_number, CLIENTS, **how) for client in range(CLIENTS)]
    return {sender.client for sender in senders if attack.is_malicious(sender)}


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.001, 1), (0.2, 10), (0.25, 13), (1.0, 50)])
def test_so_many_clients_are_malicious(share: float, count: int) -> None:
    # a quarter of 50 is 12.5, which is rounded up; a share above 0 is one client at least
    assert len(malicious(Backwards(share))) == count


def test_they_are_the_same_in_all_rounds_and_others_for_another_seed_or_place() -> None:
    attack = Backwards(0.2)
    assert malicious(attack) == malicious(attack, round_number=7) == malicious(Backwards(0.2, start_round=9))
    assert len({frozenset(malicious(attack, **how)) for how in ({}, {"seed": 1}, {"place": 1})}) == 3
    assert malicious(Backwards(0.1)) < malicious(attack)


def test_only_they_poison_and_only_once_it_has_begun() -> None:
    transforms = Transforms((named(Backwards, share=0.2, start_round=2),), seed=4, clients=CLIENTS)
    bad = malicious(Backwards(0.2), seed=4)
    for client in range(CLIENTS):
        for round_number in (1, 2, 3):
            sent, _ = transforms.encode(CHANGE, client, round_number, {})
            attacked = client in bad and round_number >= 2
            assert transforms.decode(sent, CHANGE)["w"].tolist() == ([-3.0, 6.0] if attacked else [1.0, -2.0])


def test_a_compressor_behind_it_sends_the_poison_too() -> None:
    transforms = Transforms((named(Backwards, share=1.0), TransformConfig(name="int8")), clients=CLIENTS)
    transforms.check(CHANGE)
    found = transforms.decode(transforms.encode(CHANGE, 3, 1, {})[0], CHANGE)["w"]
    np.testing.assert_allclose(found, [-3.0, 6.0], atol=6.0 / 127)


@pytest.mark.parametrize(
    "options", [{"share": 1.5}, {"share": -0.1}, {"share": True}, {}, {"share": 0.5, "start_round": 0}]
)
def test_options_that_make_no_attack_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"transforms\[0\].options do not fit Backwards: .*(share|start_round)"):
        _ = Transforms((named(Backwards, **options),)).steps
