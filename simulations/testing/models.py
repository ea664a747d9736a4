"""What every recommender keeps: scores that read no padding, parts with a scope, and a gradient for each example."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clients.app import app
from fedrec.core.errors import ConfigError, Interrupted
from fedrec.experiment.config import AdapterConfig, Experiment
from fedrec.models import MODELS
from fedrec.models.adapters import parameters_sha256
from fedrec.models.recommender import Recommender, Scope, build_model
from fedrec.run.job import Job
from simulations.engine.inprocess import InProcessGrid
from simulations.testing.contract import Contract
from simulations.testing.world import CLIENTS, ITEMS, last_round, new_run, tiny_experiment

ROUNDING = 1e-5
KNOWN_NEEDS = {"text", "body", "tokens"}
LENGTHS = (4, 1, 6, 2)
OTHER = 7
"""What stands behind the end of the histories in the second batch."""


class ModelContract(Contract):
    """The laws of a recommender, on the world's items and clients.

    Attributes:
        options: What an experiment would write into `model.options`.
        adapter: The section `adapter` with which it is trained.
        sections: Further sections of the experiment, such as `{"task": {"name": ...}}`.
    """

    options: Mapping[str, Any] = {}
    adapter: Mapping[str, Any] = {"name": "full"}
    sections: Mapping[str, Any] = {}

    def experiment(self, plugin: str, **more: Any) -> Experiment:
        """Return an experiment with the model."""
        model = {"name": plugin, "options": dict(self.options)}
        return tiny_experiment(model=model, adapter=dict(self.adapter), **{**self.sections, **more})

    @pytest.fixture
    def job(self, plugin: str, tmp_path: Path) -> Job:
        """A prepared run of the model."""
        return new_run(tmp_path / "run", self.experiment(plugin)).job

    @pytest.fixture
    def model(self, job: Job) -> Recommender:
        """The model, its weights far from 0, so that no law holds because all scores are alike."""
        model = build_model(job.experiment, replace(job.prepared.model_inputs, num_users=len(LENGTHS)))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    def test_it_says_in_its_docstring_what_it_is(self, plugin: str) -> None:
        assert (MODELS.get(plugin).__doc__ or "").strip()

    def test_an_option_that_it_does_not_have_is_refused(self, job: Job) -> None:
        options = {**job.experiment.model.options, "no_such_option": 9}
        model = job.experiment.model.model_copy(update={"options": options})
        with pytest.raises(ConfigError, match="options do not fit"):
            build_model(job.experiment.model_copy(update={"model": model}), job.prepared.model_inputs)

    def test_what_it_needs_is_known_and_its_parts_and_scopes_are_there(self, model: Recommender) -> None:
        children = {name for name, _ in model.named_children()}
        assert model.needs <= KNOWN_NEEDS
        assert {*model.parts} <= children & AdapterConfig.model_fields.keys()
        assert model.scopes.keys() <= children
        assert all(isinstance(scope, Scope) for scope in model.scopes.values())
        assert (model.num_items, model.window > 0) == (ITEMS, True)

    def test_its_weights_are_drawn_from_the_seed_and_from_nowhere_else(self, job: Job) -> None:
        drawn = []
        for noise in (1, 2):
            torch.manual_seed(noise)
            model = build_model(job.experiment, job.prepared.model_inputs)
            drawn.append(parameters_sha256({name: value.detach() for name, value in model.named_parameters()}))
        assert drawn[0] == drawn[1], "reset_parameters_ must draw every weight from its generator"

    def test_its_scores_are_finite_and_one_an_item(self, model: Recommender) -> None:
        batch = histories()
        for scored in (batch, trained_nowhere(batch)):
            scores = model.score(scored)
            assert scores.shape == (len(LENGTHS), ITEMS)
            assert scores.isfinite().all()
        assert model.score(batch)[0].std() > 0
        assert model(batch).shape == (len(LENGTHS), max(LENGTHS), ITEMS)

    def test_padding_is_never_read(self, model: Recommender) -> None:
        one, other = histories(), histories(behind=OTHER)
        for left, right in ((one, other), (trained_nowhere(one), trained_nowhere(other))):
            assert_close(model.score(left), model.score(right))
        found, expected = model(one), model(other)
        for row, length in enumerate(LENGTHS):
            assert_close(found[row, :length], expected[row, :length])

    def test_users_do_not_see_each_other(self, model: Recommender) -> None:
        batch = histories()
        for whole in (batch, trained_nowhere(batch)):
            alone = [model.score({name: value[row : row + 1] for name, value in whole.items()}) for row in range(4)]
            assert_close(torch.cat(alone), model.score(whole))

    def test_chosen_items_have_the_scores_that_they_have_among_all(self, model: Recommender) -> None:
        batch = histories()
        everything = model(batch)
        candidates = torch.tensor([[3, 1], [0, 19], [5, 5], [2, 18]])
        shared = torch.tensor([4, 0, 11])
        wanted = torch.cat((candidates, shared.expand(len(LENGTHS), -1)), dim=1)
        expected = everything.gather(2, wanted[:, None, :].expand(-1, everything.shape[1], -1))
        known = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
        assert_close(model(batch, candidates, shared)[known], expected[known])
        assert_close(model(batch, candidates)[known], expected[:, :, :2][known])

    def test_a_platforms_own_items_have_the_scores_that_they_have_among_all(self, model: Recommender) -> None:
        own = range(5, 12)
        batch = histories(among=own)
        known = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
        assert_close(model(batch, items=own)[known], model(batch)[:, :, own.start : own.stop][known])

    def test_what_stays_with_a_client_does_not_travel(self, job: Job) -> None:
        context = job.training_context
        stays = {name for name in context.start if context.model.stays(name)}
        assert context.shared_start.keys() == context.start.keys() - stays
        assert context.shared_start

    def test_every_examples_gradient_is_seen_by_opacus_and_by_vmap_alike(self, plugin: str, tmp_path: Path) -> None:
        privacy = {"noise_multiplier": 0.1, "clip_norm": 0.01, "trust": "local", "noise_key": 0}
        chunks, alone = (new_run(tmp_path / name, self.experiment(plugin, privacy=privacy)) for name in ("a", "b"))
        expected = last_round(alone, InProcessGrid(app, CLIENTS)).parameters
        for name, value in last_round(chunks).parameters.items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=ROUNDING)

    def test_a_run_that_was_stopped_goes_on_to_the_same_bits(self, plugin: str, tmp_path: Path) -> None:
        whole, stopped = (new_run(tmp_path / name, self.experiment(plugin)) for name in ("whole", "stopped"))
        with pytest.raises(Interrupted):
            last_round(stopped, until=1)
        start, ended = parameters_sha256(whole.job.training_context.shared_start), last_round(whole)
        assert parameters_sha256(last_round(stopped).parameters) == parameters_sha256(ended.parameters) != start


def histories(behind: int = 0, among: range = range(ITEMS)) -> dict[str, Tensor]:
    """Return the histories of four users of a client, with an item behind the ends of the shorter ones."""
    rng, shape = np.random.default_rng(0), (len(LENGTHS), max(LENGTHS))
    items, values = rng.integers(among.start, among.stop, shape), rng.integers(1, 6, shape)
    known = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    return {
        "history": torch.from_numpy(np.where(known, items, behind)),
        "value": torch.from_numpy(np.where(known, values, 0).astype(np.float32)),
        "length": torch.tensor(LENGTHS),
        "user": torch.arange(len(LENGTHS)),
    }


def trained_nowhere(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the batch of users on whom nobody trained."""
    return {name: value for name, value in batch.items() if name != "user"}


def assert_close(found: Tensor, expected: Tensor) -> None:
    """The scores are equal up to rounding."""
    torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=ROUNDING)
