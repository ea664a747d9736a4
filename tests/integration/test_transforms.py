"""Runs whose clients encode their changes: every engine decodes the same, and what cannot be decoded stops nobody."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from clients.app import app as client_app
from clients.cohort import CohortRequest, answer_cohort
from clients.context import client_context
from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.models.adapters import parameters_sha256
from fedrec.run.directory import RunDirectory
from server.strategies.build import build_strategy
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.work import Parameters
from simulations.options import RunOptions
from simulations.runner import run
from tests.integration.conftest import NewRun
from tests.integration.many import Many
from tests.tiny import rounds_of, tiny
from tests.transforming import HERE, Affine, Backwards, Feedback, Garbles, Noisy, named

OPEN = {"privacy": {"epsilon": float("inf")}}
LOSSY = (named(Affine, scale=64.0), named(Feedback), named(Affine, shift=1.0))
"""Whole steps of 1/64; what is left is sent later."""


def in_chunks(run: RunDirectory) -> CohortGrid:
    return CohortGrid(4, OneProcess(), answer_cohort)


@pytest.fixture
def import_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("transforms_of_this_test", None)


@pytest.mark.parametrize("strategy", ["fedavg", "median", "flwr.serverapp.strategy:FedAvg"])
def test_chunks_and_single_clients_decode_the_same(start: NewRun, strategy: str) -> None:
    options = {"strategy": {"name": strategy, "options": {}}, "transforms": LOSSY, **OPEN}
    chunked, alone = (start(tiny(**options)) for _ in range(2))
    of_chunks, of_clients = rounds_of(chunked, grid=in_chunks(chunked)), rounds_of(alone, client_app)
    for name, value in of_chunks.parameters.items():
        # a number that rounds up here and down there is a step of 1/64 apart, in a mean of four that is 1/256
        torch.testing.assert_close(of_clients.parameters[name], value, rtol=0, atol=1.01 / 256)
        assert (of_clients.parameters[name] - value).abs().gt(1e-5).float().mean() < 0.01
    plain = rounds_of(start(tiny(strategy={"name": strategy, "options": {}}, **OPEN)), client_app)
    assert parameters_sha256(plain.parameters) != parameters_sha256(of_clients.parameters)
    for mine, other in zip(chunked.rounds()[1:], alone.rounds()[1:], strict=True):
        assert {key: mine[key] for key in ("upload_bytes", "download_bytes", "replies")} == {
            key: other[key] for key in ("upload_bytes", "download_bytes", "replies")
        }


def test_a_killed_run_goes_on_with_what_its_clients_kept(many: Many) -> None:
    class Killed(BaseException):
        pass

    def dies(request: CohortRequest, parameters: Parameters, extras: Parameters) -> object:
        update = answer_cohort(request, parameters, extras)
        if request.round == 2:
            raise Killed
        return update

    options = {"transforms": LOSSY, "rounds": 3, "federation": {"participation": 0.1}, **OPEN}
    _, steady = many.run(OneProcess(), **options)
    killed = many.new(**options)
    with pytest.raises(Killed):
        many.go_on(killed, OneProcess(), dies)  # type: ignore[arg-type]
    assert (killed.private / "clients" / "transforms").is_dir()
    assert parameters_sha256(many.go_on(killed, OneProcess()).parameters) == parameters_sha256(steady.parameters)


def test_under_local_trust_a_transform_sees_what_would_have_been_sent(start: NewRun) -> None:
    plain, encoded = start(tiny(rounds=1)), start(tiny(rounds=1, transforms=(named(Affine),)))
    before = {name: value.numpy() for name, value in plain.job.training_context.shared_start.items()}
    released, seen = (
        answer_cohort(CohortRequest(str(run.path), [0, 1, 2, 3], 1), before, {}) for run in (plain, encoded)
    )
    for row, client in enumerate(released.clients):
        for name, value in released.parameters.items():
            change = value[row].numpy() - before[name]
            np.testing.assert_array_equal(seen.encoded[client][f"sent/{name}"], change)
    # at least the noise: lr 0.5 times that of a mean over the client's users
    users = len(client_context(str(plain.path), "cpu").training.federation.users[0])
    deviation = 0.5 * plain.job.plan.noise_multiplier * plain.job.plan.clip_norm / users
    moved = np.concatenate([value.ravel() for value in seen.encoded[0].values()])
    assert moved.std() > 0.9 * deviation


def test_who_cannot_encode_or_be_decoded_is_rejected_alone(start: NewRun) -> None:
    broken = start(tiny(rounds=1, transforms=(named(Garbles, unreadable=1, fails=2),), **OPEN))
    alone = start(tiny(rounds=1, transforms=(named(Garbles, unreadable=1, fails=2),), **OPEN))
    rounds_of(broken, grid=in_chunks(broken))
    rounds_of(alone, client_app)
    for found in (broken, alone):
        line = found.rounds()[1]
        assert (line["replies"], line["answers"], line["rejected"]) == (2, 3, {"unreadable": 1, "client failed": 1})
        assert "out of paper" in str(line["rejections"])


def test_an_attack_changes_nothing_before_it_begins_and_the_same_on_every_grid_after(start: NewRun) -> None:
    begins_late = {"transforms": (named(Backwards, share=0.25, start_round=2),), **OPEN}
    attacked, alone, honest = start(tiny(**begins_late)), start(tiny(**begins_late)), start(tiny(**OPEN))
    last = rounds_of(attacked, grid=in_chunks(attacked))
    for name, value in rounds_of(alone, client_app).parameters.items():
        torch.testing.assert_close(value, last.parameters[name], rtol=0, atol=1e-5)
    rounds_of(honest, client_app)
    first, second = ([run.rounds()[number]["update_norm"] for run in (attacked, honest)] for number in (1, 2))
    assert first[0] == pytest.approx(first[1], rel=1e-4)
    assert second[0] != pytest.approx(second[1], rel=1e-2)


def test_a_list_that_fails_on_a_trial_is_refused_before_the_first_round(start: NewRun) -> None:
    refused = start(tiny(transforms=(named(Affine), named(Garbles, fails=0)), **OPEN))
    with pytest.raises(ConfigError, match="ValueError: out of paper; mind the order"):
        build_strategy(refused.job)


@pytest.mark.slow
def test_a_module_of_the_users_own_is_found_by_every_client(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, import_path: None
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(HERE, tmp_path / "mine" / "transforms_of_this_test.py")
    sys.path.append(str(tmp_path / "mine"))
    experiment = tiny(rounds=1, transforms=({"name": "transforms_of_this_test:Noisy"},), **OPEN)
    done = run(experiment, RunOptions(out=tmp_path / "run", cache=cache, engine="flower", workers=1), silent)
    assert done.job.code_folders == [tmp_path / "mine"]
    assert done.rounds()[1]["replies"] == 4
    by_file = run(
        tiny(rounds=1, transforms=(named(Noisy),), **OPEN),
        RunOptions(out=tmp_path / "file", cache=cache, engine="ray", workers=1),
        silent,
    )
    assert by_file.rounds()[1]["replies"] == 4
