"""Federation against central training: the same arithmetic must come out, however users are spread over clients."""

import numpy as np
import pytest
import torch

from fedrec.models.adapters import trained_parameters
from fedrec.training.client import train_client
from server.aggregation.update import Update
from server.aggregation.update_sum import SumAggregator
from tests.handmade import SEQUENCES, context, task

SPREADS = {
    "users": ([0], [1], [2], [3]),
    "shards": ([0, 3], [1, 2]),
    "uneven": ([0, 1, 2], [3]),
    "one": ([0, 1, 2, 3],),
}
SINGLE_PRECISION = {"rtol": 0, "atol": 1e-6}
"""Updates travel as float32 numbers of size 1: 24 bits, about 1e-7, and some room."""


def round_of(made) -> dict[str, np.ndarray]:
    """Return the mean change of one round of FedAvg in which every client takes part."""
    updates = []
    for client in range(len(made.federation)):
        answer = train_client(made, task(made, client))
        delta = {name: (value[0] - made.start[name]).numpy() for name, value in answer.parameters.items()}
        updates.append(Update(client, {n: value.astype(np.float32) for n, value in delta.items()}, answer.weights[0]))
    return SumAggregator(max_norm=np.inf).add(updates).mean()


@pytest.mark.parametrize("spread", SPREADS)
def test_full_participation_and_one_full_batch_step_is_central_sgd(spread):
    """Weighted by examples: sum_k n_k / n * mean gradient of client k = mean gradient of all."""
    central = context()
    pooled = central.task.collate(central.task.judged(central.train, np.arange(len(SEQUENCES))))
    central.task.losses(central.model, pooled, None).mean().backward()
    federated = round_of(context(clients=SPREADS[spread]))
    for name, parameter in trained_parameters(central.model).items():
        torch.testing.assert_close(torch.from_numpy(federated[name]).double(), -parameter.grad, **SINGLE_PRECISION)


def test_prefixes_weigh_users_by_their_targets_however_they_are_spread():
    training = {"example": "prefix", "lr": 1.0}
    one, users = (round_of(context(clients=SPREADS[spread], training=training)) for spread in ("one", "users"))
    for name, change in one.items():
        np.testing.assert_allclose(change, users[name], rtol=0, atol=1e-6)


def test_a_mean_that_ignores_the_number_of_examples_is_not_central_training():
    """The oracle can fail: uneven clients of equal weight give another model."""
    weighted = round_of(context(clients=SPREADS["uneven"]))
    made = context(clients=SPREADS["uneven"])
    answers = [train_client(made, task(made, client)) for client in range(2)]
    name = "item_bias.weight"
    equal = sum(answer.parameters[name][0] - made.start[name] for answer in answers) / 2
    assert np.abs(equal.numpy() - weighted[name]).max() > 1e-3
