"""NewAttack keeps the laws of every transform, and who is malicious sends what it should."""

import numpy as np

from fedrec.transforms.base import Sender
from simulations.new.new_attack import NewAttack
from simulations.testing.transforms import TransformContract

CHANGE = {"w": np.array([1.0, -2.0], np.float32)}


class TestNewAttack(TransformContract):
    plugin = "new_attack.py:NewAttack"
    options = {"share": 0.5, "factor": 3.0}


def test_a_malicious_client_sends_the_opposite() -> None:
    # -3 * 1 = -3, -3 * -2 = 6
    sent = NewAttack(share=1.0, factor=3.0).encode(CHANGE, Sender(client=0, round=1))
    assert sent["w"].tolist() == [-3.0, 6.0]


def test_an_honest_client_sends_what_it_learnt() -> None:
    for attack in (NewAttack(share=0.0), NewAttack(share=1.0, start_round=2)):
        assert attack.encode(CHANGE, Sender(client=0, round=1))["w"].tolist() == [1.0, -2.0]
