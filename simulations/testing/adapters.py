"""What every adapter keeps: it starts as its base, draws by name, can learn, and shows every example's gradient."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from clients.app import app
from fedrec.models.adapters import ADAPTERS, parameters_sha256
from fedrec.run.directory import RunDirectory
from simulations.engine.inprocess import InProcessGrid
from simulations.testing.contract import Contract
from simulations.testing.world import CLIENTS, last_round, new_run, tiny_experiment

START = 1e-6
ROUNDING = 1e-5

PRETRAINED: Mapping[str, Any] = {
    "split": {"public": 0.25},
    "model": {"base": "public_users", "base_epochs": 5, "base_lr": 0.1},
}
"""A base that has learnt something: between weights near zero all starts are alike."""

NewRun = Callable[..., RunDirectory]


class AdapterContract(Contract):
    """The laws of an adapter, on real rounds of four clients.

    Attributes:
        config: Further keys of the section `adapter`.
        idle: Patterns of names of open parameters that no score sees, and that need not learn: an attention key's bias
            shifts all scores of a query alike.
    """

    config: Mapping[str, Any] = {"rank": 2}
    idle: Sequence[str] = ("*key.bias",)

    @pytest.fixture
    def start(self, plugin: str, tmp_path: Path) -> NewRun:
        """Make a new run of the adapter, or of one that is given, with further sections."""

        def new(**sections: Any) -> RunDirectory:
            wanted = tiny_experiment(**{"adapter": {"name": plugin, **self.config}, **sections})
            return new_run(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", wanted)

        return new

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (ADAPTERS.get(plugin).__doc__ or "").strip()

    def test_it_starts_as_its_base(self, start: NewRun) -> None:
        loss, base = (first_loss(start(**PRETRAINED, **adapter)) for adapter in ({}, {"adapter": {"name": "full"}}))
        assert loss == pytest.approx(base, abs=START), "what is added must be zero at the start"

    def test_its_start_is_drawn_by_name_and_from_nowhere_else(self, start: NewRun) -> None:
        drawn = []
        for noise in (1, 2):
            torch.manual_seed(noise)
            drawn.append(parameters_sha256(start().job.training_context.start))
        assert drawn[0] == drawn[1], "draw from the generator that the adapter is given"

    def test_every_open_parameter_learns(self, start: NewRun) -> None:
        run = start(training={"optimizer": "adam", "lr": 0.05})  # whose steps are as long where gradients are small
        before, after = run.job.training_context.shared_start, last_round(run).parameters
        still = [name for name, value in before.items() if torch.equal(after[name], value)]
        assert [name for name in still if not any(fnmatch(name, pattern) for pattern in self.idle)] == []

    def test_every_examples_gradient_is_seen_by_opacus_and_by_vmap_alike(self, start: NewRun) -> None:
        privacy = {"noise_multiplier": 0.1, "clip_norm": 0.01, "trust": "local", "noise_key": 0}
        chunks, alone = start(privacy=privacy), start(privacy=privacy)
        expected = last_round(alone, InProcessGrid(app, CLIENTS)).parameters
        for name, value in last_round(chunks).parameters.items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=ROUNDING)

    def test_what_is_kept_back_by_name_does_not_travel(self, start: NewRun, plugin: str) -> None:
        kept = {"name": plugin, **self.config, "item_bias": True, "private": ["item_bias*"]}
        job = start(adapter=kept).job
        stays = job.training_context.start.keys() - job.training_context.shared_start.keys()
        assert stays == {"item_bias.weight"}
        assert job.training_context.shared_start.keys()


def first_loss(run: RunDirectory) -> float:
    """Return the validation users' loss before the first round."""
    last_round(run)
    return float(run.rounds()[0]["loss"])
