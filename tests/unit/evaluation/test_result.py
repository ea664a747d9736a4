"""Which adapter is a run's result."""

from dataclasses import replace

import pytest
import torch

from fedrec.evaluation.result.selection import result_of, summed_with
from fedrec.experiment.config import Experiment
from fedrec.privacy.ledger import Ledger
from fedrec.run.checkpoint import Checkpoint


def experiment(select: str, rounds: int) -> Experiment:
    return Experiment.model_validate({"rounds": rounds, "evaluation": {"select": select}})


def run(values: list[float], wanted: Experiment) -> Checkpoint:
    """Return the last checkpoint of rounds that led to these adapters of one number; the second round was the best."""
    here = Checkpoint(0, {"w": torch.zeros(1)}, {"w": torch.zeros(1)}, 0, 9.0, {}, Ledger())
    for number, value in enumerate(values, start=1):
        after = {"w": torch.tensor([float(value)])}
        best, best_round = (after, number) if number == 2 else (here.best, here.best_round)
        summed = summed_with(here, after, wanted)
        here = replace(here, round=number, parameters=after, best=best, best_round=best_round, summed=summed)
    return here


@pytest.mark.parametrize(
    ("select", "value", "number"),
    [
        ("best", 2.0, 2),
        ("last", 16.0, 5),
        ("average", (4 + 8 + 16) / 3, 5),  # of 5 rounds the last 5 - 5 // 2 = 3
    ],
)
def test_the_result_is_the_best_the_last_or_the_mean_of_the_last_half(select, value, number):
    wanted = experiment(select, rounds=5)
    found, found_round = result_of(run([1, 2, 4, 8, 16], wanted), wanted)
    torch.testing.assert_close(found["w"], torch.tensor([value]))
    assert found["w"].dtype == torch.float32
    assert found_round == number


def test_the_mean_of_a_single_round_is_that_round():
    wanted = experiment("average", rounds=1)
    found, _ = result_of(run([3], wanted), wanted)
    assert found["w"].item() == 3


def test_a_run_that_a_budget_ended_is_averaged_as_far_as_it_came():
    wanted = experiment("average", rounds=6)  # rounds 4, 5 and 6 would be averaged
    assert result_of(run([1, 2, 4, 8, 16], wanted), wanted)[0]["w"].item() == (8 + 16) / 2
    found, number = result_of(run([1, 2, 4], wanted), wanted)
    assert (found["w"].item(), number) == (4, 3), "no round was averaged yet: the last one counts"


def test_nothing_more_is_stored_than_needed():
    assert run([1, 2, 4], experiment("last", rounds=4)).summed == {}
    assert run([1, 2, 4], experiment("best", rounds=4)).summed == {}
    assert run([1, 2], experiment("average", rounds=4)).summed == {}
    assert run([1, 2, 4], experiment("average", rounds=4)).summed.keys() == {"w"}


def test_an_interrupted_run_averages_to_the_same_bits(tmp_path):
    wanted = experiment("average", rounds=6)
    values = [0.1, 0.2, 0.3, 0.7, 0.9, 1.3]
    halfway = run(values[:5], wanted)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(halfway.to_bytes())
    read = Checkpoint.read(file)
    assert read.summed["w"].dtype == torch.float64
    after = {"w": torch.tensor([values[5]])}
    resumed = replace(read, round=6, parameters=after, summed=summed_with(read, after, wanted))
    assert torch.equal(result_of(resumed, wanted)[0]["w"], result_of(run(values, wanted), wanted)[0]["w"])
