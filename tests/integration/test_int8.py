"""The transform `int8`: right on average, a quarter of the bytes, the same on every engine."""

from pathlib import Path

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.experiment.config import TransformConfig
from fedrec.models.adapters import parameters_sha256
from fedrec.run.directory import RunDirectory
from fedrec.transforms.base import Sender
from fedrec.transforms.int8 import Int8
from fedrec.transforms.pipeline import Transforms
from simulations.engine.cohorts import OneProcess
from simulations.options import RunOptions
from simulations.runner import run
from tests.integration.many import Many
from tests.tiny import tiny

CHANGE = {"w": np.array([[0.5, -1.27, 0.003], [0.0, 1.0, 1e-9]], np.float32), "zero": np.zeros(4, np.float32)}


def rounded(change: dict[str, np.ndarray], client: int = 0) -> dict[str, np.ndarray]:
    return dict(Int8().decode(Int8().encode(change, Sender(client, 1))))


def test_by_hand() -> None:
    # the largest is 1.27, so a level is 0.01: 0.5 is level 50, -1.27 is -127, 0.003 is level 0 or 1
    sent = Int8().encode(CHANGE, Sender(0, 1))
    assert sent["scale/w"] == pytest.approx(0.01)
    assert sent["int8/w"].dtype == np.int8
    assert sent["int8/w"][0, :2].tolist() == [50, -127]
    assert {rounded(CHANGE, client)["w"][0, 2].round(4) for client in range(50)} == {np.float32(0), np.float32(0.01)}


def test_the_mean_over_draws_is_the_change_and_no_draw_is_a_level_off() -> None:
    draws = [rounded(CHANGE, client) for client in range(2000)]
    step = 1.27 / 127
    # a number lies between two levels, so its deviation is half a step at most, and that of the mean 1/sqrt(2000) of it
    for name, value in CHANGE.items():
        stack = np.stack([draw[name] for draw in draws]).astype(np.float64)
        assert np.abs(stack - value).max() < step * 1.001
        assert np.abs(stack.mean(axis=0) - value).max() < 5 * 0.5 * step / np.sqrt(2000)
        assert draws[0][name].dtype == value.dtype
    assert not draws[0]["zero"].any()


def test_what_is_not_finite_stays_so_and_what_is_no_float_is_refused() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        assert np.isnan(rounded({"w": np.array([1.0, bad], np.float32)})["w"]).all()
    assert rounded({"w": np.zeros((0, 3), np.float32)})["w"].shape == (0, 3)
    with pytest.raises(ConfigError, match="int8 rounds float32, but int8/w is int8; put it last"):
        Transforms((TransformConfig(name="int8"), TransformConfig(name="int8"))).check(CHANGE)


@pytest.mark.slow
def test_two_workers_end_with_the_bits_of_one_process(many: Many, cache: Path) -> None:
    options = {"transforms": ({"name": "int8"},), "privacy": {"epsilon": float("inf")}}
    here, last = many.run(OneProcess(), **options)
    plain, exact = many.run(OneProcess(), privacy={"epsilon": float("inf")})
    assert parameters_sha256(last.parameters) != parameters_sha256(exact.parameters)
    sizes = [found.rounds()[1]["upload_bytes"] for found in (here, plain)]
    numbers = 4 * sum(value.numel() for value in last.parameters.values())
    headers = sizes[1] / plain.rounds()[1]["answers"] - numbers
    # a quarter of the numbers; each array has two headers instead of one
    assert sizes[0] / here.rounds()[1]["answers"] == pytest.approx(numbers / 4 + 2 * headers, rel=0.1)
    assert here.rounds()[1]["download_bytes"] == plain.rounds()[1]["download_bytes"]
    assert ended(many, cache, "ray", 2) == ended(many, cache, "inprocess", None)


def ended(many: Many, cache: Path, engine: str, workers: int | None) -> str:
    """Return the bits of a run whose cohorts are several chunks, under central trust."""
    out = many.folder / f"{engine}-{workers}"
    experiment = tiny(
        rounds=1,
        transforms=({"name": "int8"},),
        federation={"partition": "users", "participation": 0.2},
        adapter={"private": ()},
        privacy={"trust": "central"},
    )
    done = run(experiment, RunOptions(engine=engine, workers=workers, out=out, cache=cache), silent)
    return str(done.summary()["parameters_sha256"])


@pytest.mark.slow
def test_it_runs_on_flower(cache: Path, tmp_path: Path) -> None:
    experiment = tiny(rounds=1, transforms=({"name": "int8"},), privacy={"epsilon": float("inf")})
    found = {}
    for engine in ("flower", "inprocess"):
        options = RunOptions(engine=engine, workers=1, out=tmp_path / engine, cache=cache)
        done: RunDirectory = run(experiment, options, silent)
        found[engine] = done.rounds()[1]
    for key in ("replies", "upload_bytes", "download_bytes"):
        assert found["flower"][key] == found["inprocess"][key]
    # both round the same draw; where the changes differ in a last bit a number may fall on the other level
    assert found["flower"]["update_norm"] == pytest.approx(found["inprocess"]["update_norm"], rel=0.01)
