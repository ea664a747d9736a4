"""What every ranking metric keeps, looked at on all rankings of a few items."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.metrics.accuracy import METRICS, Metric
from simulations.testing.contract import Contract

RANKS = range(1, 8)
CUTOFFS = (1, 2, 3, 5, 10)
ROUNDING = 1e-12


class MetricContract(Contract):
    """The laws of a metric of one user's ranks at a cut-off."""

    @pytest.fixture
    def metric(self, plugin: str) -> Metric:
        """The metric."""
        return METRICS.get(plugin)

    def test_it_lies_between_0_and_1(self, metric: Metric) -> None:
        assert all(-ROUNDING <= metric(np.array(ranks), k) <= 1 + ROUNDING for ranks, k in cases())

    def test_a_user_without_relevant_items_has_none(self, metric: Metric) -> None:
        assert all(math.isnan(metric(np.array([], dtype=np.int64), k)) for k in CUTOFFS)

    def test_the_order_in_which_the_ranks_are_given_does_not_count(self, metric: Metric) -> None:
        assert all(metric(np.array(ranks[::-1]), k) == metric(np.array(ranks), k) for ranks, k in cases())

    def test_it_does_not_fall_when_a_relevant_item_moves_up(self, metric: Metric) -> None:
        for ranks, k in cases():
            before = metric(np.array(ranks), k)
            for better in moved_up(ranks):
                assert metric(np.array(better), k) >= before - ROUNDING, f"{ranks} -> {better} at {k}"

    def test_behind_the_cut_off_no_place_is_better_than_another(self, metric: Metric) -> None:
        for ranks, k in cases():
            further = [rank + 100 if rank > k else rank for rank in ranks]
            assert metric(np.array(further), k) == metric(np.array(ranks), k)

    def test_to_find_an_item_is_better_than_not_to(self, metric: Metric) -> None:
        assert all(metric(np.array([1]), k) > metric(np.array([k + 1]), k) for k in CUTOFFS)

    def test_what_it_is_given_stays_as_it_was(self, metric: Metric) -> None:
        ranks = np.array([5, 1, 3])
        metric(ranks, 3)
        assert ranks.tolist() == [5, 1, 3]

    @pytest.mark.parametrize("k", [0, -1])
    def test_a_cut_off_below_1_is_refused(self, metric: Metric, k: int) -> None:
        with pytest.raises(ConfigError):
            metric(np.array([1]), k)


def cases() -> Iterator[tuple[list[int], int]]:
    """Yield all sets of ranks of one to seven relevant items among the first seven, each at several cut-offs."""
    for count in RANKS:
        yield from ((list(ranks), k) for ranks in combinations(RANKS, count) for k in CUTOFFS)


def moved_up(ranks: list[int]) -> Iterator[list[int]]:
    """Yield the ranks with one item moved up to a place that no other has."""
    for place, rank in enumerate(ranks):
        yield from ([*ranks[:place], new, *ranks[place + 1 :]] for new in range(1, rank) if new not in ranks)
