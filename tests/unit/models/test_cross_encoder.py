"""A cross-encoder on a BERT that the test makes: what it reads, what it must not, and that pairs are pairs."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from fedrec.core.errors import ConfigError
from fedrec.data.split import Queries
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.models.scoring import model_scores
from fedrec.run.trainable import require_pairs
from fedrec.text.body import Body
from fedrec.text.tokens import Tokens, tokenise
from simulations.testing.world import tiny_experiment, world
from tests.handmade import batch, experiment

SHAPE: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 11,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.5,
}
PAD, CLS, SEP = 0, 1, 2
TOKENS = Tokens(
    titles=torch.tensor([[3, 0], [4, 5], [6, 0], [7, 8]]),
    texts=torch.tensor([[3, 9, 0], [4, 5, 10], [6, 9, 0], [7, 8, 9]]),
    special=torch.tensor([CLS, SEP, PAD]),
)


def encoder() -> BertModel:
    """Return the encoder with weights at random."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return BertModel(BertConfig.from_dict(SHAPE), add_pooling_layer=False).eval()


def model(window: int = 4):
    wanted = experiment(model={"name": "cross_encoder", "layers": 2, "window": window})
    made = build_model(wanted, ModelInputs(4, body=Body(SHAPE, encoder().state_dict()), tokens=TOKENS))
    torch.nn.init.ones_(made.score_head.weight)
    made.item_bias.weight.data[:, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    return made


def test_it_reads_titles_of_the_history_and_the_text_of_the_item_as_bert_reads_two_texts():
    # items 0 and 1 were had, item 2 is asked about; transformers' own BERT reads the same words without gaps
    words, kinds = [CLS, 3, 4, 5, SEP, 6, 9, SEP], [0] * 5 + [1] * 3
    hidden = encoder()(input_ids=torch.tensor([words]), token_type_ids=torch.tensor([kinds])).last_hidden_state
    expected = hidden[0, 0].sum() + 2.0
    found = model().pairs(batch(torch.tensor([[0, 1]])), torch.tensor([[3, 2]]))
    torch.testing.assert_close(found[0, 1], expected)


def test_a_position_reads_no_later_item_and_no_padding():
    made = model()
    asked = torch.tensor([[1, 3, 0]])
    one, other = (made.pairs(batch(torch.tensor([[2, 0, last]])), asked)[0] for last in (1, 3))
    torch.testing.assert_close(one[:2], other[:2])
    assert not torch.allclose(one[2], other[2])


def test_pairs_are_the_diagonal_of_all_scores_one_example_at_a_time_or_together():
    made, asked = model(), batch(torch.tensor([[2, 0, 1], [3, 3, 0]]))
    items = torch.tensor([[1, 3, 0], [0, 2, 2]])
    whole = made(asked)
    assert whole.shape == (2, 3, 4)
    found = made.pairs(asked, items)
    torch.testing.assert_close(found, whole.gather(2, items[..., None])[..., 0])
    torch.testing.assert_close(made(asked, items[:, :2], torch.tensor([3])), whole.gather(2, _columns(items)))
    made.per_example = True
    torch.testing.assert_close(made.pairs(asked, items), found)


def _columns(items: torch.Tensor) -> torch.Tensor:
    return torch.cat((items[:, :2], torch.full((2, 1), 3)), dim=1)[:, None].expand(-1, 3, -1)


def test_only_what_is_wanted_is_read():
    made, history = model(), [np.array([2, 0]), np.array([1])]
    values = [np.ones(2, dtype=np.float32), np.ones(1, dtype=np.float32)]
    everything = model_scores(made, Queries(np.arange(2), history, values))
    wanted = Queries(np.arange(2), history, values, None, [np.array([3]), np.array([0, 2])])
    expected = np.zeros((2, 4), dtype=np.float32)
    expected[0, 3], expected[1, [0, 2]] = everything[0, 3], everything[1, [0, 2]]
    np.testing.assert_allclose(model_scores(made, wanted), expected, rtol=1e-5)


def test_a_window_that_the_body_cannot_read_is_refused():
    # titles of 2 tokens, a text of 3, and three marks: 2 * 10 + 6 = 26 of 24; nine titles fit
    with pytest.raises(
        ConfigError, match=r"model.window = 10: .* are 26, and the language model reads 24; lower it to 9"
    ):
        model(window=10)
    assert model(window=9).position_cost == 24


def test_words_are_cut_padded_and_marked_by_the_encoders_own_tokenizer(tmp_path):
    found = tokenise(["item a", "b"], ["item a b", ""], tiny_experiment().text, world() / "encoder")
    # the world's words: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, item 5, a 6, b 7
    assert found.titles.tolist() == [[5, 6], [7, 0]]
    assert found.texts.tolist() == [[5, 6, 7], [0, 0, 0]]
    assert found.special.tolist() == [2, 3, 0]
    found.write(tmp_path / "tokens")
    again = Tokens.open(tmp_path / "tokens")
    assert all(torch.equal(value, getattr(again, name)) for name, value in vars(found).items())
    with pytest.raises(ConfigError, match="holds no encoder that transformers can load"):
        tokenise(["a"], ["a"], tiny_experiment().text, tmp_path)


@pytest.mark.parametrize(
    ("task", "items", "fits"),
    [
        ({"name": "next_item"}, 100, True),
        ({"name": "next_item"}, 101, False),
        ({"name": "click"}, 101, False),
        ({"name": "click", "options": {"negatives": "below", "threshold": 4.0}}, 5000, True),
        ({"name": "rating"}, 5000, True),
    ],
)
def test_a_whole_catalogue_is_too_much_for_a_pass_a_pair(task, items, fits):
    wanted = experiment(model={"name": "cross_encoder"}, task=task)
    if fits:
        require_pairs(wanted, items)
    else:
        with pytest.raises(ConfigError, match=f"scores all {items} items after each position; choose task.name"):
            require_pairs(wanted, items)
    require_pairs(experiment(task=task), items)
