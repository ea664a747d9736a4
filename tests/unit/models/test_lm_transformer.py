"""A language model's body as sequence model, on a BERT that the test makes: no word is read, no later item is seen."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import BertConfig, BertModel

from fedrec.core.errors import ConfigError
from fedrec.models.adapters import attach_, shared_parameters
from fedrec.models.recommender import build_model
from fedrec.text.body import Body, read_body
from simulations.testing.world import tiny_experiment, world
from tests.handmade import batch, experiment, inputs

SHAPE = {
    "model_type": "bert",
    "vocab_size": 11,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 12,
    "max_position_embeddings": 6,
    "hidden_dropout_prob": 0.5,
}


def encoder() -> BertModel:
    """Return the encoder with weights at random, as a causal decoder without dropout."""
    shape = BertConfig.from_dict({**SHAPE, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    shape.is_decoder, shape.use_cache = True, False
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return BertModel(shape, add_pooling_layer=False)


def model(layers: int = 2, window: int = 4, **adapter):
    body = Body(SHAPE, encoder().state_dict())
    wanted = experiment(model={"name": "lm_transformer", "layers": layers, "window": window})
    made = build_model(wanted, replace(inputs(single=True), body=body))
    if adapter:
        attach_(made, wanted.adapter.model_copy(update=adapter), 0)
    return made


def test_its_layers_are_those_of_the_language_model_read_from_left_to_right():
    # transformers' own causal decoder of the first two layers is the oracle
    embedded = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1))
    whole = encoder()
    whole.encoder.layer = whole.encoder.layer[:2]
    expected = whole(inputs_embeds=embedded).last_hidden_state
    found = model()._encode(embedded)
    torch.testing.assert_close(found, torch.nn.functional.layer_norm(expected, (8,)))


def test_no_later_item_is_seen_and_order_counts():
    made = model()
    scores = made(batch(torch.tensor([[0, 1, 2], [0, 1, 5], [1, 0, 2]])))
    torch.testing.assert_close(scores[0, :2], scores[1, :2])
    assert not torch.allclose(scores[0, 2], scores[1, 2])
    assert not torch.allclose(scores[0, 1], scores[2, 1])


def test_what_is_trained_is_a_lora_of_the_body_and_no_word_is_there():
    made = model(name="lora", rank=2, targets=("query", "value"), item_bias=False)
    # two layers, two targets, A and B of rank 2 on a width of 8; the item projection of 5 dimensions
    assert sum(value.numel() for value in shared_parameters(made, experiment().adapter).values()) == 2 * 2 * 2 * 16 + 48
    assert not [name for name in made.state_dict() if "word" in name]


def test_more_than_the_body_has_is_refused():
    with pytest.raises(ConfigError, match=r"model.layers = 4: the language model has 3"):
        model(layers=4)
    with pytest.raises(ConfigError, match=r"model.window = 7: the language model reads 6 positions"):
        model(window=7)
    with pytest.raises(ConfigError, match="got none"):
        build_model(experiment(model={"name": "lm_transformer"}), inputs())


def test_a_body_is_read_whole_from_the_encoders_folder():
    config = tiny_experiment().text
    body = read_body(config, world() / "encoder")
    assert body.shape["hidden_size"] == 16
    assert body.weights["encoder.layer.0.attention.self.query.weight"].shape == (16, 16)


def test_a_body_of_another_kind_is_refused(monkeypatch, tmp_path):
    kind = SimpleNamespace(config=SimpleNamespace(model_type="gpt2"))
    monkeypatch.setattr("fedrec.text.body.load_encoder", lambda config, folder: (None, kind))
    with pytest.raises(ConfigError, match="is of the type 'gpt2', and those that can be trained are bert"):
        read_body(tiny_experiment().text, tmp_path)
