"""Transforms are applied in order by clients and undone in reverse by the server; what cannot work is refused first."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.transforms.base import Arrays, Sender
from fedrec.transforms.pipeline import Transforms
from server.strategies.build import check_strategy
from tests.tiny import tiny
from tests.transforming import Affine, Feedback, Noisy, named

HERE = Path(__file__).resolve()
SHAPE = {"w": np.zeros((2, 2), np.float32), "b": np.zeros(1, np.float32)}
CHANGE = {"w": np.array([[1, 2], [3, 4]], np.float32), "b": np.array([-1], np.float32)}


class Doubles(Noisy):
    """Returns another type than it was given."""

    def decode(self, received: Arrays) -> Arrays:
        return {name: value.astype(np.float64) for name, value in received.items()}


class Forgets(Feedback):
    """Keeps nothing where it said it would."""

    def encode_and_keep(self, change: Arrays, sender: Sender, kept: Arrays) -> tuple[Arrays, Arrays]:
        return super().encode_and_keep(change, sender, kept)[0], {}


class Fails(Noisy):
    """Cannot encode."""

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        message = "only integers"
        raise ValueError(message)


def sent(transforms: Transforms, client: int = 0, round_number: int = 1) -> Mapping[str, Any]:
    return transforms.encode(CHANGE, client, round_number, {})[0]


def test_the_first_is_applied_first_and_undone_last() -> None:
    transforms = Transforms((named(Affine, scale=2.0), named(Affine, shift=10.0)))
    # (1 * 2) + 10 = 12; the other order would send (1 + 10) * 2 = 22
    found = sent(transforms)
    assert found["sent/sent/w"].tolist() == [[12, 14], [16, 18]]
    back = transforms.decode(found, SHAPE)
    assert {name: value.tolist() for name, value in back.items()} == {"w": [[1, 2], [3, 4]], "b": [-1]}


def test_no_transforms_send_the_change_as_it_is() -> None:
    assert not Transforms()
    assert sent(Transforms()) == CHANGE


def test_a_change_of_zeros_passes_by_every_transform() -> None:
    transforms = Transforms((named(Affine, shift=10.0),))
    assert transforms.encode(SHAPE, 0, 1, {"0/left": np.ones(1)}) == ({}, {"0/left": np.ones(1)})
    back = transforms.decode({}, SHAPE)
    assert {name: (value.shape, value.dtype, value.any()) for name, value in back.items()} == {
        "w": ((2, 2), np.float32, False),
        "b": ((1,), np.float32, False),
    }


def test_draws_differ_by_client_round_and_place_and_by_nothing_else() -> None:
    once, twice = Transforms((named(Noisy),)), Transforms((named(Noisy), named(Noisy)))
    first = sent(once)["w"]
    np.testing.assert_array_equal(sent(once)["w"], first)
    moved = [sent(once, client=1)["w"], sent(once, round_number=2)["w"], sent(Transforms(once.configs, seed=1))["w"]]
    second = sent(twice)["w"] - first  # what the second of two adds is not what the first added
    assert all(np.abs(other - first).max() > 1e-3 for other in [*moved, CHANGE["w"] + second])
    senders = [Sender(client, round_number) for client, round_number in ((0, 1), (5, 9))]
    assert len({sender.lasting_rng("who").random() for sender in senders}) == 1


def test_what_a_client_keeps_comes_back_to_the_transform_that_left_it() -> None:
    transforms = Transforms((named(Affine, scale=0.5), named(Feedback), named(Feedback)))
    assert transforms.remember
    kept = transforms.kept_start(SHAPE)
    assert sorted(kept) == ["1/sent/b", "1/sent/w", "2/sent/b", "2/sent/w"]
    first, kept = transforms.encode(CHANGE, 0, 1, kept)
    # half of 3 is 1 and a half, half of -1 is minus a half: the second feedback gets whole numbers and keeps nothing
    assert first["sent/w"].tolist() == [[0, 1], [1, 2]]
    assert kept["1/sent/w"].tolist() == [[0.5, 0], [0.5, 0]]
    assert not kept["2/sent/w"].any()
    second, kept = transforms.encode(CHANGE, 0, 2, kept)
    assert second["sent/w"].tolist() == [[1, 1], [2, 2]]
    assert not kept["1/sent/w"].any()
    back = transforms.decode(first, SHAPE)["w"] + transforms.decode(second, SHAPE)["w"]
    assert back.tolist() == (2 * CHANGE["w"]).tolist()


def test_transforms_travel_by_name_and_options() -> None:
    transforms = Transforms((named(Affine, scale=2.0),), seed=3, clients=7)
    sent(transforms)
    assert pickle.loads(pickle.dumps(transforms)) == transforms
    assert b"Affine.encode" not in pickle.dumps(transforms)


@pytest.mark.parametrize(
    ("configs", "found"),
    [
        ((named(Doubles, HERE),), r"comes back with b float64\[1\], it was float32\[1\]; decode must return"),
        (
            (named(Noisy), named(Fails, HERE)),
            r"transforms .*Noisy then .*Fails: .* ValueError: only integers; mind the order",
        ),
    ],
)
def test_what_loses_names_shapes_or_types_is_refused_on_a_trial(configs: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        Transforms(configs).check(SHAPE)
    Transforms((named(Affine, scale=2.0), named(Noisy))).check(SHAPE)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"name": "int9"}, "unknown transform 'int9'"),
        (
            {"name": named(Affine).name, "options": {"scala": 2}},
            r"transforms\[0\].options do not fit Affine: .*'scala'",
        ),
        ({"name": "collections:OrderedDict"}, r"OrderedDict is no fedrec\.transforms\.base\.Transform"),
    ],
)
def test_names_and_options_are_checked_before_any_work(config: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        check_strategy(tiny(transforms=(config,)))
