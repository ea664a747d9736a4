"""The contracts find what is broken: plug-ins that break laws, and the laws that say so, in pytest as users run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PLUGINS = '''
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from flwr.serverapp.strategy import FedAvg

from fedrec.data.interactions import Catalogue, Dataset, Interactions, Users
from fedrec.data.sources.base import Source
from fedrec.models.recommender import Recommender
from fedrec.tasks.next_item import NextItem
from fedrec.training.rules.base import Rule
from fedrec.transforms.base import Transform
from server.base import CohortStrategy, MeanStrategy
from simulations.engine.cohort_engines import inprocess


class Forgets(MeanStrategy):
    """Counts its rounds and does not save the count."""

    def __init__(self, context):
        super().__init__(context)
        self.rounds = 0

    def step(self, update):
        self.rounds += 1
        return {name: value * self.rounds for name, value in update.items()}


class Draws(CohortStrategy):
    """Draws from a generator of its own."""

    def aggregate(self, updates):
        return {name: value * np.float32(np.random.default_rng().random()) for name, value in updates[0].delta.items()}


class Counts(FedAvg):
    """Weighs whoever it hears first more: counts how its replies come."""

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        return super().aggregate_train(server_round, replies[:3])


class Hungry(CohortStrategy):
    def __init__(self, context, **anything):
        super().__init__(context)

    def aggregate(self, updates):
        first, second = updates[:2]
        return first.delta


def falls(ranks, k):
    """Praises late items, and what stands behind the cut-off."""
    return float(ranks.max() / 1000) if len(ranks) else float("nan")


def nothing(ranks, k):
    """Is 0 for everybody, a cut-off of 0 included."""
    ranks.sort()
    return 0.0


def random_start_(model, config, generator):
    """Starts anywhere."""
    model.norm.weight.requires_grad = True
    with torch.no_grad():
        model.norm.weight.add_(torch.rand(model.norm.weight.shape))


def load(path, config):
    rows = Interactions(np.array([0, 2]), np.array([0, 5]), np.array([9, 3]), np.array([1, np.nan], np.float32), 2)
    return Dataset("odd", rows, Catalogue(["a", "a"], ["one"], ["", ""]), Users(["u"]))


ODD = Source("odd", "two\\nlines", "", (), load)


class Mixes(Rule):
    """Gives every client the mean gradient, and overwrites what it was given."""

    def direction(self, gradient, parameters, state):
        return {name: value.copy_(value.mean(dim=0, keepdim=True).expand_as(value)) for name, value in gradient.items()}


class Lossy(Transform):
    """Draws from anywhere, hides NaN, and loses the small arrays."""

    def encode(self, change, sender):
        noise = np.random.default_rng()
        drawn = {name: value + noise.normal(0, 1e-3, value.shape) for name, value in change.items() if value.size > 1}
        return {name: np.nan_to_num(value).astype(np.float32) for name, value in drawn.items()}

    def decode(self, received):
        return received


class Miscounts(NextItem):
    """Counts a row as an example, and takes means over the padding."""

    def count(self, lengths):
        return lengths

    def losses(self, model, batch, sample, items=None):
        known = (batch["target"] >= 0).sum(dim=1)
        return super().losses(model, batch, sample, items) * known / batch["target"].shape[1]


class Bag(Recommender):
    """Adds up the items of the history and of the padding, on weights from anywhere."""

    def __init__(self, inputs, config):
        super().__init__()
        self.window, self.num_items = config.window, inputs.num_items
        self.own, self.other = torch.nn.Embedding(self.num_items, 4), torch.nn.Embedding(self.num_items, 4)

    def reset_parameters_(self, generator):
        for part in (self.own, self.other):
            torch.nn.init.normal_(part.weight)

    def forward(self, batch, candidates=None, shared=None, items=None):
        scores = (self.score(batch) / 9).unsqueeze(1).expand(-1, batch["history"].shape[1], -1)
        if candidates is None:
            return scores[:, :, items.start : items.stop] if items else scores
        if shared is not None:
            candidates = torch.cat((candidates, shared.expand(len(candidates), -1)), dim=1)
        return scores.gather(2, candidates[:, None].expand(-1, scores.shape[1], -1))

    def score(self, batch):
        return self.own(batch["history"]).sum(dim=1) @ self.other.weight.T


def twice(work, clients, options):
    """Calls the work on clients that are not there, twice, and says nothing of what goes wrong."""
    for _ in range(2):
        try:
            inprocess(work, clients + 1, options)
        except LookupError:
            pass
'''

TESTS = """
from pathlib import Path

import pytest

from simulations.testing.adapters import AdapterContract
from simulations.testing.engines import EngineContract
from simulations.testing.metrics import MetricContract
from simulations.testing.models import ModelContract
from simulations.testing.rules import RuleContract
from simulations.testing.sources import SourceContract
from simulations.testing.strategies import StrategyContract
from simulations.testing.tasks import TaskContract
from simulations.testing.transforms import TransformContract


class TestForgets(StrategyContract):
    plugin = "broken.py:Forgets"


class TestDraws(StrategyContract):
    plugin = "broken.py:Draws"


class TestHungry(StrategyContract):
    plugin = "./broken.py:Hungry"


class TestFalls(MetricContract):
    plugin = "broken.py:falls"


class TestNothing(MetricContract):
    plugin = "broken.py:nothing"


class TestRandomStart(AdapterContract):
    plugin = "broken.py:random_start_"
    config = {}


class TestMixes(RuleContract):
    plugin = "broken.py:Mixes"
    plain = {}


class TestLossy(TransformContract):
    plugin = "broken.py:Lossy"


class TestMiscounts(TaskContract):
    plugin = "broken.py:Miscounts"


class TestBag(ModelContract):
    plugin = "broken.py:Bag"


class TestOdd(SourceContract):
    plugin = "broken.py:ODD"

    @pytest.fixture
    def files(self):
        return Path(__file__)


class TestTwice(EngineContract):
    plugin = "broken.py:twice"
"""

FOUND = {
    "Forgets": ["a_run_that_was_stopped_goes_on_to_the_same_bits"],
    "Draws": [
        "a_run_that_was_stopped_goes_on_to_the_same_bits",
        "the_order_of_replies_moves_no_bit",
        "the_same_seed_moves_the_adapter_to_the_same_bits",
    ],
    "Hungry": [
        "an_option_that_it_does_not_have_is_refused_by_name",
        "it_says_in_its_docstring_what_it_is",
        "it_works_with_the_fewest_replies",
    ],
    "Falls": [
        "a_cut_off_below_1_is_refused",
        "behind_the_cut_off_no_place_is_better_than_another",
        "it_does_not_fall_when_a_relevant_item_moves_up",
        "to_find_an_item_is_better_than_not_to",
    ],
    "Nothing": [
        "a_cut_off_below_1_is_refused",
        "a_user_without_relevant_items_has_none",
        "to_find_an_item_is_better_than_not_to",
        "what_it_is_given_stays_as_it_was",
    ],
    "RandomStart": [
        "every_examples_gradient_is_seen_by_opacus_and_by_vmap_alike",
        "it_starts_as_its_base",
        "its_start_is_drawn_by_name_and_from_nowhere_else",
    ],
    "Mixes": [
        "a_cohort_does_what_its_clients_do_one_at_a_time",
        "it_leaves_what_it_is_given_and_gives_the_same_again",
        "no_client_sees_another",
        "with_its_plain_options_it_is_plain_training",
    ],
    "Lossy": [
        "a_run_with_it_goes_on_to_the_same_bits_after_a_stop",
        "the_same_sender_draws_the_same_bytes",
        "what_is_decoded_has_the_names_shapes_and_types_that_were_encoded",
        "what_is_not_finite_is_not_hidden_from_the_server",
    ],
    "Miscounts": [
        "a_loss_knows_neither_padding_nor_its_neighbours",
        "examples_are_counted_without_reading_a_row",
    ],
    "Bag": [
        "every_examples_gradient_is_seen_by_opacus_and_by_vmap_alike",
        "its_weights_are_drawn_from_the_seed_and_from_nowhere_else",
        "padding_is_never_read",
    ],
    "Odd": [
        "a_folder_without_the_files_is_an_error_that_names_it",
        "each_users_rows_are_in_time_order",
        "every_column_is_as_long_as_what_it_describes",
        "every_item_has_a_text_once_it_is_cleaned",
        "it_can_be_named_in_an_experiment_and_keeps_its_terms",
        "it_says_what_it_is_and_on_which_terms",
        "items_and_users_have_an_identifier_each",
        "rows_are_of_known_items_and_finite",
    ],
    "Twice": [
        "it_calls_the_work_once",
        "its_node_ids_are_the_clients_numbers",
        "what_the_work_raises_comes_out_as_it_is",
    ],
}
"""Plug-in -> the laws that it breaks, sorted."""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Class -> the tests that failed, sorted, each once."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "broken.py").write_text(PLUGINS, encoding="utf-8")
    (folder / "test_broken.py").write_text(TESTS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "--tb=no", "test_broken.py"]
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    printed = subprocess.run(
        command, cwd=folder, env={**os.environ, **paths}, capture_output=True, text=True, check=False
    )
    lines = re.findall(r"^FAILED test_broken\.py::Test(\w+)::test_(\w+)", printed.stdout, re.MULTILINE)
    assert lines, printed.stdout + printed.stderr
    return {name: sorted({law for of, law in lines if of == name}) for name, _ in lines}


@pytest.mark.parametrize("name", FOUND)
def test_a_broken_plug_in_is_found_by_the_laws_that_it_breaks(name: str, failed: dict[str, list[str]]) -> None:
    assert failed[name] == FOUND[name]


def test_every_law_of_a_kind_that_is_kept_passes(failed: dict[str, list[str]]) -> None:
    assert failed.keys() == FOUND.keys()
