"""NewModel keeps the laws of every recommender, and its scores are those by hand."""

import torch

from fedrec.models.recommender import ModelInputs
from simulations.new.new_model import NewModel
from simulations.testing.models import ModelContract
from simulations.testing.world import tiny_experiment


class TestNewModel(ModelContract):
    plugin = "new_model.py:NewModel"


def test_a_score_is_the_mean_of_the_history_times_the_item_plus_its_bias() -> None:
    model = NewModel(ModelInputs(num_items=3), tiny_experiment(model={"width": 1}).model)
    with torch.no_grad():
        model.item.weight.copy_(torch.tensor([[1.0], [3.0], [5.0]]))
        model.item_bias.weight.copy_(torch.tensor([[0.0], [0.0], [-4.0]]))
    # items 0 and 1 have the mean (1 + 3) / 2 = 2: 2 * 1, 2 * 3 and 2 * 5 - 4; behind the end stands item 2
    batch = {"history": torch.tensor([[0, 1, 2]]), "length": torch.tensor([2])}
    assert model.score(batch).tolist() == [[2.0, 6.0, 6.0]]
