"""SASRec is the text transformer whose text says nothing: same scores, no item vectors, no projection."""

import torch

from fedrec.models.recommender import ModelInputs, build_model, needs_of
from tests.handmade import NUM_ITEMS, batch, experiment, inputs

HISTORY = torch.tensor([[0, 3, 1], [2, 2, 5]])


def test_it_scores_as_a_text_transformer_without_text() -> None:
    chosen = experiment(model={"name": "sasrec"})
    assert needs_of(chosen) == frozenset()
    ids, text = build_model(chosen, ModelInputs(NUM_ITEMS)).double(), build_model(experiment(), inputs()).double()
    text.load_state_dict({**text.state_dict(), **ids.state_dict()})
    with torch.no_grad():
        for parameter in text.item_projection.parameters():
            parameter.zero_()
    assert ids.item_delta.weight.std() > 0
    torch.testing.assert_close(ids(batch(HISTORY)), text(batch(HISTORY)))
    assert not [name for name in dict(ids.named_parameters()) if "projection" in name]
