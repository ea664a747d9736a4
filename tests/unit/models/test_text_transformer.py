"""The default model: what it may look at, and that all its ways to a score agree."""

import math

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.data.split import Queries
from fedrec.models.scoring import model_scorer
from fedrec.models.text_transformer import BIAS_SCALE, TextTransformer
from fedrec.models.transformer.positions import alibi
from fedrec.tasks.next_item import NextItem
from fedrec.training.held_out_loss import mean_loss
from tests.handmade import NUM_ITEMS, batch, context, experiment, inputs, interactions, vectors

HISTORY = torch.tensor([[0, 1, 2, 3], [4, 4, 6, 0]])


OPTIONS = {
    "plain": {},
    "hidden projection": {"projection": "hidden"},
    "relative": {"positions": "alibi"},
    "cosine": {"logits": "cosine", "temperature": 0.5},
    "text skip": {"text_skip": 3.0},
    "all": {"projection": "hidden", "positions": "alibi", "logits": "cosine", "text_skip": 10.0},
}


@pytest.fixture(params=OPTIONS)
def model(request):
    made = context(model={"options": OPTIONS[request.param]}).model
    if made.text_skip is not None:
        made.text_skip.gain.weight.data.fill_(0.3)
    return made


def test_a_later_item_changes_no_earlier_score(model):
    changed = HISTORY.clone()
    changed[:, 2] = 5
    before, after = model(batch(HISTORY)), model(batch(changed))
    torch.testing.assert_close(after[:, :2], before[:, :2], rtol=0, atol=0)
    assert not torch.allclose(after[:, 2:], before[:, 2:])


def test_padding_on_the_right_changes_nothing(model):
    padded = torch.cat((HISTORY[:, :2], torch.full((2, 2), 3)), dim=1)
    torch.testing.assert_close(model(batch(padded))[:, :2], model(batch(HISTORY[:, :2])))
    lengths = torch.tensor([2, 2])
    scores = [model.score({"history": history, "length": lengths}) for history in (padded, HISTORY[:, :2])]
    torch.testing.assert_close(*scores)


def test_order_matters(model):
    assert not torch.allclose(model(batch(HISTORY[:, :2]))[:, -1], model(batch(HISTORY[:, [1, 0]]))[:, -1])


@pytest.mark.parametrize("per_example", [False, True])
def test_every_way_to_a_score_gives_the_same_score(model, per_example):
    full = model(batch(HISTORY))
    model.per_example = per_example
    candidates, shared = torch.tensor([[1, 1, 6], [0, 5, 2]]), torch.tensor([3, 3])
    torch.testing.assert_close(model(batch(HISTORY)), full)
    wanted = torch.cat([full[row, :, candidates[row]][None] for row in range(2)])
    torch.testing.assert_close(model(batch(HISTORY), candidates), wanted)
    torch.testing.assert_close(
        model(batch(HISTORY), candidates, shared), torch.cat((wanted, full[:, :, shared]), dim=2)
    )
    last = model.score({"history": HISTORY, "length": torch.tensor([4, 2])})
    torch.testing.assert_close(last, torch.stack((full[0, 3], full[1, 1])))


@pytest.mark.parametrize("item_projection", [False, True])
def test_a_frozen_embedding_is_shared_and_a_trained_one_copied_with_the_same_scores(item_projection):
    model = context(adapter={"item_projection": item_projection, "rank": 2}).model
    shared = model(batch(HISTORY))
    model.per_example = True
    torch.testing.assert_close(model(batch(HISTORY)), shared)


def test_cosines_over_the_temperature_plus_bias():
    dot, cosine = (context(model={"options": {"logits": logits}}).model for logits in ("dot", "cosine"))
    items, bias = dot._embed(torch.arange(NUM_ITEMS)), dot._bias(torch.arange(NUM_ITEMS))
    products = dot(batch(HISTORY)) - bias  # |hidden| * |item| * cosine
    found = (cosine(batch(HISTORY)) - bias) * 0.07
    lengths = products / (found * items.norm(dim=1))
    torch.testing.assert_close(lengths, lengths[..., :1].expand_as(lengths))  # that of the hidden state, for every item
    assert found.abs().max() <= 1


def test_attention_by_distance_loses_a_slope_a_step():
    # two heads: slopes 2^-4 and 2^-8; two steps back cost twice as much, the future is masked elsewhere
    assert alibi(2, 3)[:, 2].tolist() == [[-2 / 16, -1 / 16, 0], [-2 / 256, -1 / 256, 0]]


def test_a_text_skip_adds_the_cosine_of_the_faded_history_times_its_gain():
    plain, skipping = (context(model={"options": {"text_skip": decay}}).model for decay in (0, 1 / math.log(2)))
    skipping.load_state_dict(plain.state_dict(), strict=False)
    skipping.text_skip.gain.weight.data.zero_()
    torch.testing.assert_close(skipping(batch(HISTORY)), plain(batch(HISTORY)))
    skipping.text_skip.gain.weight.data.fill_(0.3)
    items = vectors()
    # an item counts half of what the one after it does: 4, then 4 again, then 6
    pasts = [items[4], items[4] / 2 + items[4], items[4] / 4 + items[4] / 2 + items[6]]
    wanted = torch.stack([3.0 * items @ (past / past.norm()) for past in pasts]).to(torch.float32)
    added = (skipping(batch(HISTORY)) - plain(batch(HISTORY)))[1, :3]
    torch.testing.assert_close(added, wanted.to(added.dtype), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trained", [True, False])
def test_the_gain_of_a_text_skip_is_trained_beside_any_adapter(trained):
    made = context(model={"options": {"text_skip": 5.0}}, adapter={"text_skip": trained})
    assert ("text_skip.gain.weight" in made.start) == trained
    assert "text_skip.gain.weight" not in context().start


@pytest.mark.parametrize(
    "option",
    [
        {"logits": "sine"},
        {"positions": "none"},
        {"projection": 3},
        {"temperature": 0},
        {"text_skip": -1},
        {"text_skip": "on"},
    ],
)
def test_an_option_out_of_range_is_an_error_that_names_it(option):
    (name,) = option
    with pytest.raises(ConfigError, match=rf"model\.options\.{name} = .*should be"):
        context(model={"options": option})


def test_scores_are_item_vectors_times_hidden_state_plus_bias():
    # without blocks and positions the hidden state is the normed embedding of the item itself
    config = experiment(model={"layers": 1}).model
    plain = TextTransformer(inputs(), config).double()
    plain.reset_parameters_(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if name.startswith(("blocks", "position")):
                parameter.zero_()
        plain.item_bias.weight[2] = 0.5
    embedded = vectors() @ plain.item_projection.weight.T
    hidden = torch.nn.functional.layer_norm(embedded[3], (8,))
    expected = embedded @ hidden
    expected[2] += 0.5 * BIAS_SCALE
    torch.testing.assert_close(plain(batch(torch.tensor([[3]])))[0, 0], expected)


def test_a_hidden_projection_starts_as_a_linear_one():
    model = TextTransformer(inputs(), experiment().model, projection="hidden").double()
    model.reset_parameters_(torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.item_projection(vectors()), vectors() @ model.item_projection.direct.weight.T)
    model.item_projection.outer.weight.data.fill_(1.0)
    assert not torch.allclose(model.item_projection(vectors()), vectors() @ model.item_projection.direct.weight.T)


def test_weights_are_drawn_by_the_generator_alone():
    drawn = []
    for seed, noise in ((0, 1), (0, 2), (3, 1)):
        torch.manual_seed(noise)
        model = TextTransformer(inputs(), experiment().model)
        model.reset_parameters_(torch.Generator().manual_seed(seed))
        drawn.append(torch.cat([parameter.flatten() for parameter in model.parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_scorer_reads_the_last_window_of_each_history(model):
    # the window is 4: what lies before the last four items does not matter, and lengths may differ
    rows = [interactions([sequence]).items_of(0) for sequence in ([5, 5, 0, 1, 2, 3], [0, 1, 2, 3], [4])]
    scores = model_scorer(model)(Queries(torch.arange(3).numpy(), rows, ()))
    assert scores.shape == (3, NUM_ITEMS)
    torch.testing.assert_close(torch.from_numpy(scores[0]), torch.from_numpy(scores[1]))
    torch.testing.assert_close(torch.from_numpy(scores[2]), model(batch(torch.tensor([[4]])))[0, 0].detach())


@pytest.mark.parametrize("limit", [1, 10**9])
@pytest.mark.parametrize("kind", ["sequence", "prefix"])
def test_mean_loss_means_the_same_in_small_batches_and_of_prefixes(model, monkeypatch, limit, kind):
    monkeypatch.setattr("fedrec.tasks.base.MOST_SCORES", limit)
    assert loss_of(model, kind, range(4)) == pytest.approx(sum(loss_of(model, kind, [user]) for user in range(4)) / 4)


def loss_of(model, kind: str, users) -> float:
    task = NextItem(experiment(training={"example": kind}))
    return mean_loss(model, task, task.judged(interactions(), torch.tensor(list(users), dtype=torch.int64).numpy()))


def test_mean_loss_of_nobody_is_nan(model):
    assert math.isnan(loss_of(model, "sequence", []))


def test_scores_of_a_slice_of_the_items_are_those_of_the_whole(model):
    whole, history = model(batch(HISTORY)), torch.tensor([[4, 4, 6, 0]])  # the last item is padding, outside the slice
    torch.testing.assert_close(model(batch(HISTORY), items=range(NUM_ITEMS)), whole)
    of_slice = model(batch(history), items=range(3, 7))
    torch.testing.assert_close(of_slice[:, :3], model(batch(history))[:, :3, 3:7])
    below = model(batch(torch.tensor([[0, 1, 6]])), items=range(3))  # so is this one, above it
    torch.testing.assert_close(below[:, :2], model(batch(torch.tensor([[0, 1, 6]])))[:, :2, :3])
