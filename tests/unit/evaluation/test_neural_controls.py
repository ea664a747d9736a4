"""Neural controls: losses, masks and the graph by hand; what is trivially learnable is learnt; whose rows are read."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.data.platform import Platforms
from fedrec.evaluation.controls import CONTROLS
from fedrec.evaluation.controls.neural import bert4rec, lightgcn, mult_vae, sasrec
from fedrec.evaluation.controls.neural.early_stopping import Recipe, trained_control
from fedrec.evaluation.controls.neural.learner import Learner
from fedrec.evaluation.controls.neural.sequences import PADDING, padded, windows
from fedrec.models.transformer.block import Block
from tests.handmade import interactions, one_platform, queries

NAMES = ("mult_vae", "sasrec", "bert4rec", "lightgcn")
CYCLES = [[(start + step) % 8 for step in range(length)] for start in range(8) for length in (3, 4)] * 2
"""After item `i` comes `i + 1`, of eight items in a circle."""
HALVES = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2], [5, 6, 7], [1, 2, 3], [4, 5, 6], [0, 2, 3], [4, 6, 7]] * 4
"""Users have items of one half."""


def test_the_loss_of_mult_vae_by_hand():
    # Scores (log 3, 0, 0): probabilities 3/5, 1/5, 1/5, of which the first two were touched.
    touched, scores = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[3.0, 1.0, 1.0]]).log()
    # One latent value of mean 2 and variance 1: the divergence is 2^2 / 2 = 2, and a tenth of it counts.
    found = mult_vae.negative_elbo(touched, scores, torch.tensor([[2.0]]), torch.zeros(1, 1), weight=0.1)
    assert float(found) == pytest.approx(-np.log(3 / 5) - np.log(1 / 5) + 0.1 * 2)
    # Of variance e^2: (e^2 - 1 - 2) / 2 more.
    wide = mult_vae.negative_elbo(touched, scores, torch.tensor([[2.0]]), torch.full((1, 1), 2.0), weight=0.1)
    assert float(wide - found) == pytest.approx(0.1 * (np.exp(2) - 3) / 2, rel=1e-5)


def test_windows_are_cut_from_the_end():
    rows = interactions([[0, 1, 2, 3, 4], [5], [6, 7]], 8)
    assert [own.tolist() for own in windows(rows, 2)] == [[3, 4], [1, 2], [0], [5], [6, 7]]
    # Overlapping by one, so that each item but a user's first follows another in one window, and in one alone.
    assert [own.tolist() for own in windows(rows, 3, overlap=1)] == [[2, 3, 4], [0, 1, 2], [6, 7]]
    assert padded([np.array([1, 2]), np.array([3])]).tolist() == [[1, 2], [3, PADDING]]


def test_the_loss_of_sasrec_is_the_mean_over_items_that_follow_another():
    model = sasrec.SasRec(interactions([[0, 1, 2], [3, 4]], 5), 0, dropout=0.5)
    both = model.loss(padded([np.array([0, 1, 2]), np.array([3, 4])]))
    logits = {length: model.score([np.arange(length)])[0].log_softmax(0) for length in (1, 2)}
    alone = model.score([np.array([3])])[0].log_softmax(0)
    # three targets: 1 after 0, 2 after 0 and 1, and 4 after 3; the padding is none
    expected = -(logits[1][1] + logits[2][2] + alone[4]) / 3
    torch.testing.assert_close(both, expected)


def test_masks_leave_something_to_find():
    rng = np.random.default_rng(0)
    found = [bert4rec.masked_places(20, 0.3, rng) for _ in range(2_000)]
    last = sum(own.sum() == 1 and own[-1] for own in found)
    # a tenth, and those few of the others that draw nothing or the last alone: 0.7^20 + 0.3 * 0.7^19 = 0.001
    assert last / len(found) == pytest.approx(0.1, abs=0.02)
    # 0.9 * 0.3 + 0.1 / 20
    assert np.mean(found) == pytest.approx(0.275, abs=0.01)
    assert bert4rec.masked_places(1, 0.01, rng).tolist() == [True]


def test_the_loss_of_bert4rec_reads_what_is_masked_and_nothing_of_its_item():
    model = bert4rec.Bert4Rec(interactions([[0, 1, 2], [3]], 5), 0, masked=0.5)
    items, masks = (
        padded([np.array([0, 1, 2]), np.array([3])]),
        torch.tensor([[False, True, True], [True, False, False]]),
    )
    changed = items.clone()
    changed[0, 1] = 4
    logits = model._found(items.masked_fill(masks, 5), masks).log_softmax(1)
    expected = -(logits[0, 1] + logits[1, 2] + logits[2, 3]) / 3
    torch.testing.assert_close(model.loss(items, masks), expected)
    torch.testing.assert_close(model.loss(changed, masks), -(logits[0, 4] + logits[1, 2] + logits[2, 3]) / 3)


def test_a_block_that_is_told_so_looks_both_ways_and_never_at_padding():
    block = Block(8, 2, 6)
    hidden = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([True, True, True, False])[None, None, None]
    later, padding = hidden.clone(), hidden.clone()
    later[0, 2, 0] += 1.0  # all of them together are lost in the norm
    padding[0, 3, 0] += 1.0
    found = block(hidden, visible=visible)
    assert not torch.allclose(block(later, visible=visible)[0, 0], found[0, 0])
    torch.testing.assert_close(block(padding, visible=visible)[0, :3], found[0, :3])
    torch.testing.assert_close(block(later)[0, :2], block(hidden)[0, :2])


def test_an_edge_of_the_graph_is_divided_by_the_roots_of_both_ends():
    touched = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    # users have 2, 1 and 0 items; items have 1, 2 and 0 users
    half, root = 1 / 2, 1 / np.sqrt(2)
    edges = np.array([[root, half, 0], [0, root, 0], [0, 0, 0]])
    nothing = np.zeros((3, 3))
    np.testing.assert_allclose(lightgcn.normalised(touched).toarray(), np.block([[nothing, edges], [edges.T, nothing]]))


def test_lightgcn_by_hand():
    model = lightgcn.LightGcn(interactions([[0]], 2), 0, penalty=0.5)
    with torch.no_grad():
        model.vectors.copy_(torch.tensor([[1.0], [2.0], [4.0]]) * torch.eye(1, 64))
    # One edge of weight 1: user and item take each other's vector in each layer; the other item hears of nobody.
    # User 1, 2, 1, 2: mean 3/2. Item 0 is 2, 1, 2, 1: mean 3/2. Item 1 is 4, 0, 0, 0: mean 1.
    one = torch.tensor([0])
    margin = 3 / 2 * (3 / 2 - 1)
    expected = np.log1p(np.exp(-margin)) + 0.5 * (1 + 2**2 + 4**2) / 2
    assert float(model.loss(one, one, one + 1).detach()) == pytest.approx(expected)
    # Folded in is the mean of what a history has: 3/2 of item 0, however often, and 5/4 of both.
    found = model.scores(queries([[0, 0], [1, 0]]))
    np.testing.assert_allclose(found, [[9 / 4, 3 / 2], [5 / 4 * 3 / 2, 5 / 4]], rtol=1e-6)


def learner(name, rows, seed=0):
    recipe = {"mult_vae": mult_vae, "sasrec": sasrec, "bert4rec": bert4rec, "lightgcn": lightgcn}[name].RECIPE
    return recipe.make(rows, seed, name, 0, **{setting: values[0] for setting, values in recipe.grid.items()})


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_what_knows_of_order_learns_what_comes_next(name):
    model = learner(name, interactions(CYCLES, 8))
    for epoch in range(1, 41):
        model.learn_(epoch)
    found = model.scores(queries([[4, 5], [0, 1, 2], [6, 7]]))
    assert found.argmax(axis=1).tolist() == [6, 3, 0]


@pytest.mark.parametrize("name", ["mult_vae", "lightgcn"])
def test_what_knows_of_sets_learns_what_goes_together(name, monkeypatch):
    monkeypatch.setattr(mult_vae, "HIDDEN", 16)
    monkeypatch.setattr(mult_vae, "LATENT", 4)
    model = learner(name, interactions(HALVES, 8))
    for epoch in range(1, 201):
        model.learn_(epoch)
    low, high = model.scores(queries([[0, 1], [6, 7]]))
    assert low[[2, 3]].min() > low[4:].max()
    assert high[[4, 5]].min() > high[:4].max()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_whatever_was_drawn_before(name):
    rows, asked = interactions(CYCLES[:9], 8), queries([[4, 5], [0]])
    torch.manual_seed(0)
    models = [learner(name, rows, seed) for seed in (0, 0, 1)]
    for model in models:
        model.learn_(1)
        torch.rand(3)
    first, again, other = (model.scores(asked) for model in models)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_learnt_from_nobody_and_one_row_is_no_error(name):
    for rows in (interactions([[], []], 3), interactions([[1], []], 3)):
        model = learner(name, rows)
        model.learn_(1)
        assert np.isfinite(model.scores(queries([[1], [2, 0, 2]]))).all()


class Rising(Learner):
    """Scores item 0 by a curve over its epochs, and item 1 by 0."""

    def __init__(self, rows, seed, *name, height):
        super().__init__(seed, *name)
        self.rows, self.height = rows, height
        self.epoch = torch.nn.Parameter(torch.zeros(1))

    def learn_(self, epoch):
        with torch.no_grad():
            self.epoch.fill_(epoch)

    def score(self, histories):
        peak = self.height - (self.epoch - 3) ** 2
        return torch.cat((peak, torch.zeros(1))).expand(len(histories), -1)


def job_of(rows, platforms=None):
    """Return a job that has training rows and nothing else: whatever reads held-out rows fails."""
    prepared = SimpleNamespace(train=rows, platforms=platforms or one_platform(rows))
    return SimpleNamespace(prepared=prepared, experiment=SimpleNamespace(seed=0))


def evaluator_of(*, can_tune=True):
    """Return an evaluator whose validation users like a high score of item 0."""
    gains, tested = [], []

    def validation_gain(scorer):
        gains.append(float(scorer(queries([[1]]))[0, 0]))
        return gains[-1]

    def test(scorer):
        tested.append(scorer(queries([[1]]))[0])
        return {}

    return SimpleNamespace(
        can_tune=can_tune, validation_gain=validation_gain, test=test, tuned={}, gains=gains, tested=tested
    )


RISING = Recipe("rising", Rising, {"height": (1.0, 5.0)}, epochs=20, patience=2, fixed_epochs=4, note="a curve")


def test_validation_users_pick_epoch_and_settings_and_test_users_are_scored_once():
    evaluator, told = evaluator_of(), []
    control = trained_control(RISING, job_of(interactions([[0, 1]], 2)), evaluator, lambda *one: told.append(one))
    # 1 - (epoch - 3)^2 is best at epoch 3 and seen to fall twice; then tuning asks for what was kept; 5 likewise.
    curve = [-3.0, 0.0, 1.0, 0.0, -3.0, 1.0]
    assert evaluator.gains == curve + [gain + 4 for gain in curve]
    assert [own.tolist() for own in evaluator.tested] == [[5.0, 0.0]]
    assert control.note.startswith(
        "height 5 (by validation users, of height 1, 5), epoch 3 (by validation users), a curve"
    )
    assert control.reference
    assert told[0] == ("control rising", 0, 20)
    assert told[-1] == ("control rising", 20, 20, "stopped at epoch 5")


def test_where_nobody_may_be_asked_epochs_and_settings_are_fixed():
    evaluator = evaluator_of(can_tune=False)
    control = trained_control(RISING, job_of(interactions([[0, 1]], 2)), evaluator, silent)
    assert not evaluator.gains
    assert [own.tolist() for own in evaluator.tested] == [[1.0 - (4 - 3) ** 2, 0.0]]
    assert control.note.startswith("height 1 (fixed), epoch 4 (fixed), a curve")


def test_each_platform_learns_from_its_own_rows():
    seen = []

    def make(rows, seed, *name, height):
        seen.append((name, rows.num_items, rows.item.tolist()))
        return Rising(rows, seed, *name, height=height)

    recipe = Recipe("rising", make, {"height": (1.0,)}, epochs=20, patience=2, fixed_epochs=1, note="")
    platforms = Platforms(("books", "films"), np.array([0, 2, 4]), np.array([0, 1, 3]))
    trained_control(
        recipe, job_of(interactions([[0, 1], [3], [2, 3]], 4), platforms), evaluator_of(can_tune=False), silent
    )
    assert seen == [(("rising", 0), 2, [0, 1]), (("rising", 1), 2, [1, 0, 1])]


@pytest.mark.parametrize("name", NAMES)
def test_a_control_reads_training_rows_and_asks_validation_users_alone(name, monkeypatch):
    module = {"mult_vae": mult_vae, "sasrec": sasrec, "bert4rec": bert4rec, "lightgcn": lightgcn}[name]
    short = Recipe(name, module.RECIPE.make, module.RECIPE.grid, 2, 1, 1, module.RECIPE.note)
    monkeypatch.setattr(module, "RECIPE", short)
    evaluator = evaluator_of()
    control = CONTROLS.get(name)(job_of(interactions(CYCLES[:3], 8)), evaluator, silent)
    assert control.reference
    assert len(evaluator.tested) == 1
    assert len(evaluator.gains) >= len(next(iter(module.RECIPE.grid.values())))


@pytest.mark.parametrize("name", NAMES)
def test_a_catalogue_that_is_too_large_is_refused_before_any_work(name):
    with pytest.raises(ConfigError, match=f"{name} scores the whole catalogue .* 20001 items .* leave '{name}' out"):
        CONTROLS.get(name)(job_of(interactions([[0]], 20_001)), evaluator_of(), silent)
