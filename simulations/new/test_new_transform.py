"""NewTransform keeps the laws of every transform, and is right on average."""

import numpy as np

from fedrec.transforms.base import Sender
from simulations.new.new_transform import NewTransform
from simulations.testing.transforms import TransformContract


class TestNewTransform(TransformContract):
    plugin = "new_transform.py:NewTransform"
    options = {"share": 0.25}


def test_the_server_makes_up_for_what_was_not_sent() -> None:
    # what came is divided by the chance to be sent: 1 / 0.25 = 4, 0 stays 0
    assert NewTransform(0.25).decode({"w": np.array([1.0, 0.0], np.float32)})["w"].tolist() == [4.0, 0.0]


def test_it_is_right_on_average() -> None:
    transform, change = NewTransform(0.25), {"w": np.ones(10_000, np.float32)}
    found = transform.decode(transform.encode(change, Sender(client=0, round=1)))["w"]
    assert {*found.tolist()} == {0.0, 4.0}
    # the mean of 10,000 numbers that are 4 with chance 1/4: deviation sqrt(3) / 100
    assert abs(found.mean() - 1) < 5 * 3**0.5 / 100
