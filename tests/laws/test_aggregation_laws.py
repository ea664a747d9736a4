"""Laws of aggregation, clipping and checkpoints, on awkward numbers."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedrec.privacy.accounting.prices import Release
from fedrec.privacy.ledger import Ledger
from fedrec.run.checkpoint import Checkpoint
from server.aggregation.privacy import NoisyMean
from server.aggregation.update import Update, norm_of
from server.aggregation.update_sum import SumAggregator
from server.strategies.fedavg import FedAvg
from server.strategies.median import Median
from server.strategies.trimmed_mean import TrimmedMean
from tests.tiny import aggregate_of, strategy_context

FLOATS = st.floats(-1e3, 1e3, width=32)
AGGREGATORS = [FedAvg, Median, TrimmedMean]


@st.composite
def updates(draw, least=1):
    shape = draw(st.sampled_from([(1,), (3,), (2, 2)]))
    count = draw(st.integers(least, 7))
    weights = draw(st.lists(st.floats(0.01, 100), min_size=count, max_size=count))
    deltas = [draw(arrays(np.float32, shape, elements=FLOATS)) for _ in range(count)]
    return [Update(i, {"w": d}, w) for i, (d, w) in enumerate(zip(deltas, weights, strict=True))]


@pytest.mark.parametrize("kind", AGGREGATORS)
@given(cohort=updates())
def test_an_aggregate_lies_between_the_least_and_the_greatest_update(kind, cohort):
    result = aggregate_of(kind(strategy_context()), cohort)["w"]
    stacked = np.stack([update.delta["w"] for update in cohort])
    slack = 1e-3 + 1e-6 * np.abs(stacked).max()
    assert (result >= stacked.min(axis=0) - slack).all()
    assert (result <= stacked.max(axis=0) + slack).all()


@pytest.mark.parametrize("kind", AGGREGATORS)
@given(cohort=updates(), data=st.data())
def test_an_aggregate_is_free_of_order(kind, cohort, data):
    shuffled = data.draw(st.permutations(cohort))
    straight = aggregate_of(kind(strategy_context()), cohort)["w"]
    np.testing.assert_allclose(aggregate_of(kind(strategy_context()), shuffled)["w"], straight, rtol=1e-5, atol=1e-4)


@given(cohort=updates(least=3), outlier=st.floats(1e4, 1e30))
def test_one_liar_in_three_or_more_cannot_drag_a_median_out_of_the_others(cohort, outlier):
    honest = np.stack([update.delta["w"] for update in cohort[1:]])
    lie = Update(0, {"w": np.full_like(honest[0], outlier)}, 1.0)
    result = Median(strategy_context()).aggregate([lie, *cohort[1:]])["w"]
    assert (result <= honest.max(axis=0) + 1e-3).all()


@given(values=arrays(np.float32, 5, elements=st.floats(-(2.0**60), 2.0**60, width=32)), clip_norm=st.floats(1e-6, 1e6))
def test_clip_never_lengthens_never_exceeds_and_keeps_the_direction(values, clip_norm):
    clipped = SumAggregator(np.inf, clip_norm).add([Update(0, {"w": values}, 5.0)]).sums
    assert norm_of(clipped) <= min(norm_of({"w": values}), clip_norm) * (1 + 1e-12)
    assert (np.sign(clipped["w"]) * np.sign(values) >= 0).all()


@given(cohort=updates(), clip_norm=st.floats(0.01, 10), left_out=st.integers(0, 6))
def test_leaving_one_client_out_moves_the_noisy_sum_by_at_most_the_clip_norm(cohort, clip_norm, left_out):
    how = strategy_context(noise=1.0, clip_norm=clip_norm, central=True)
    shape = {"w": cohort[0].delta["w"]}
    without = [update for update in cohort if update.client != left_out % len(cohort)]
    aggregator = SumAggregator(np.inf, clip_norm)
    everyone, others = (NoisyMean(how).change(aggregator.add(some), shape, 1)["w"] for some in (cohort, without))
    apart = everyone - others
    assert norm_of({"w": apart * np.float32(how.expected_cohort)}) <= clip_norm * (1 + 1e-3) + 1e-4


TENSORS = st.dictionaries(
    st.text("abc./_", min_size=1, max_size=6),
    arrays(np.float32, st.sampled_from([(), (0,), (2,), (2, 3)]), elements=st.floats(width=32)).map(torch.from_numpy),
    max_size=3,
)


@settings(max_examples=50)
@given(
    parameters=TENSORS,
    strategy=TENSORS,
    number=st.integers(0, 10**6),
    score=st.floats(allow_nan=False),
    clients=st.lists(st.integers(0, 99), min_size=1),
)
def test_a_checkpoint_comes_back_as_it_was_written(parameters, strategy, number, score, clients):
    ledger = Ledger().charge(number % 50, clients, Release(1.5, 0.25, 2))
    written = Checkpoint(number, parameters, parameters, number, score, strategy, ledger)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        path.write_bytes(written.to_bytes())
        read = Checkpoint.read(path)
    assert (read.round, read.best_round, read.best_score, read.ledger) == (number, number, score, ledger)
    for kept, back in ((parameters, read.parameters), (parameters, read.best), (strategy, read.strategy)):
        assert kept.keys() == back.keys()
        for name in kept:
            np.testing.assert_array_equal(kept[name].numpy(), back[name].numpy())
