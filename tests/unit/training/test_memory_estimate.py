"""The estimate of memory by law; its numbers are held against measured peaks in tests/integration/test_memory.py."""

from fedrec.training.memory_estimate import Size, training_bytes
from tests.handmade import experiment


def test_of_positions_that_cost_ten_a_tenth_are_computed_at_once():
    # 4 bytes each: 4 copies of 50 scores, 20 of a width of 8 (of ten times as much); and 50 items' vectors thrice
    wanted, embedded = experiment(adapter={"item_projection": False}), 4 * 3 * 50 * 8
    plain, dear = (Size(items=50, trained=0, clients=5000, position_cost=cost) for cost in (1, 10))
    assert training_bytes(wanted, plain) == 4 * 4096 * (4 * 50 + 20 * 8) + embedded
    assert training_bytes(wanted, dear) == 4 * 409 * (4 * 50 + 20 * 10 * 8) + embedded
