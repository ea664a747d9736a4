"""What every update transform keeps: the server gets a change of the adapter, drawn by name, from what travelled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, RecordDict

from fedrec.core.errors import ConfigError, Interrupted
from fedrec.experiment.config import TransformConfig
from fedrec.models.adapters import parameters_sha256
from fedrec.transforms import TRANSFORMS
from fedrec.transforms.base import Arrays, Sender, StatefulTransform, Transform
from fedrec.transforms.pipeline import Transforms
from simulations.testing.contract import Contract
from simulations.testing.world import last_round, new_run, tiny_experiment

SHAPES = {"w": (5,), "u.weight": (3, 4), "one": (1,), "scalar": (), "none": (0, 2)}
SENDER = Sender(client=1, round=2, clients=4, seed=3)


class TransformContract(Contract):
    """The laws of an update transform, on changes at random and on real rounds.

    Attributes:
        options: What an experiment would write into `options` of its `[[transforms]]`.
    """

    options: Mapping[str, Any] = {}

    @pytest.fixture
    def transform(self, plugin: str) -> Transform:
        """The transform."""
        return self.built(plugin)

    def built(self, plugin: str, **more: Any) -> Transform:
        """Return a new instance, with further options."""
        return Transforms((TransformConfig(name=plugin, options={**self.options, **more}),)).steps[0]

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (TRANSFORMS.get(plugin).__doc__ or "").strip()

    def test_an_option_that_it_does_not_have_is_refused(self, plugin: str) -> None:
        with pytest.raises(ConfigError, match="options do not fit"):
            self.built(plugin, no_such_option=9)

    def test_what_is_decoded_has_the_names_shapes_and_types_that_were_encoded(self, transform: Transform) -> None:
        for sender in senders():
            assert kinds(transform.decode(transform.encode(change(), sender))) == kinds(change())

    def test_what_travels_survives_the_wire(self, transform: Transform) -> None:
        for sender in senders():
            sent = transform.encode(change(), sender)
            assert_same(transform.decode(over_the_wire(sent)), transform.decode(sent))

    def test_what_is_finite_stays_finite(self, transform: Transform) -> None:
        for size in (1e-30, 1.0, 1e6):
            found = transform.decode(transform.encode(change(size), SENDER))
            assert all(np.isfinite(value).all() for value in found.values())

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_what_is_not_finite_is_not_hidden_from_the_server(self, transform: Transform, bad: float) -> None:
        broken = change()
        broken["w"] = broken["w"].copy()
        broken["w"][2] = bad
        for sender in senders():
            found = transform.decode(transform.encode(broken, sender))
            assert not all(np.isfinite(value).all() for value in found.values())

    def test_an_array_of_zeros_beside_others_is_no_trouble(self, transform: Transform) -> None:
        quiet = {**change(), "w": np.zeros(5, np.float32)}
        found = transform.decode(transform.encode(quiet, SENDER))
        assert all(np.isfinite(value).all() for value in found.values())

    def test_the_same_sender_draws_the_same_bytes(self, plugin: str) -> None:
        first, other = self.built(plugin), self.built(plugin)
        for sender in senders():
            other.encode(change(2.0), Sender(3, 9, 4))  # an instance holds options and no state
            assert_same(first.encode(change(), sender), other.encode(change(), sender))

    def test_it_leaves_what_it_is_given_as_it_was(self, transform: Transform) -> None:
        for sender in senders():
            given = change()
            sent = {name: value.copy() for name, value in transform.encode(given, sender).items()}
            assert_same(given, change())
            received = {name: value.copy() for name, value in sent.items()}
            transform.decode(received)
            assert_same(received, sent)

    def test_what_it_did_not_send_is_no_change(self, transform: Transform) -> None:
        try:
            found = transform.decode({"nonsense": np.ones(3, np.float32)})
        except Exception:  # noqa: BLE001 - whatever is raised rejects the reply
            return
        assert found.keys() != SHAPES.keys()

    def test_what_a_client_keeps_stays_of_its_kind_and_finite(self, transform: Transform) -> None:
        if not isinstance(transform, StatefulTransform):
            return
        kept = start = transform.kept_start(change())
        for number in range(1, 6):
            copies = {name: value.copy() for name, value in kept.items()}
            sender = Sender(1, number, clients=4)
            (sent, left), (again, _) = (transform.encode_and_keep(change(), sender, kept) for _ in range(2))
            assert_same(kept, copies)
            assert_same(sent, again)
            assert kinds(left) == kinds(start)
            assert all(np.isfinite(value).all() for value in left.values())
            kept = left

    def test_a_run_with_it_goes_on_to_the_same_bits_after_a_stop(self, plugin: str, tmp_path: Path) -> None:
        wanted = tiny_experiment(transforms=[{"name": plugin, "options": dict(self.options)}])
        whole, stopped = (new_run(tmp_path / name, wanted) for name in ("whole", "stopped"))
        with pytest.raises(Interrupted):
            last_round(stopped, until=1)
        ended = last_round(whole).parameters
        assert all(torch.isfinite(value).all() for value in ended.values())
        assert parameters_sha256(last_round(stopped).parameters) == parameters_sha256(ended)


def senders() -> list[Sender]:
    """Return all clients of a run of four in two rounds."""
    return [Sender(client, number, clients=4, seed=3) for client in range(4) for number in (1, 2)]


def change(size: float = 1.0) -> dict[str, Any]:
    """Return a change of this size, always the same."""
    rng = np.random.default_rng(0)
    return {name: np.asarray(size * rng.normal(size=shape), np.float32) for name, shape in SHAPES.items()}


def over_the_wire(sent: Arrays) -> Arrays:
    """Return the arrays as they come out of a Flower message's bytes."""
    content = RecordDict({"arrays": ArrayRecord({n: Array(np.asarray(v)) for n, v in sent.items()})})
    return {name: array.numpy() for name, array in content.array_records["arrays"].items()}


def kinds(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the type and shape of each array."""
    return {name: (str(value.dtype), value.shape) for name, value in arrays.items()}


def assert_same(found: Arrays, expected: Arrays) -> None:
    """The arrays are equal by name, to the bit."""
    assert kinds(found) == kinds(expected)
    assert {n: v.tobytes() for n, v in found.items()} == {n: v.tobytes() for n, v in expected.items()}
