"""A flipped bit or a cut byte anywhere: the same result, or an error that says so; never another result.

A few draws of `tests.integration.damage`, whose command plays as many as one likes, and every other file of a sweep in
turn (all of them among the slow tests).
"""

import random
from pathlib import Path

import pytest

from tests.integration.damage import PLAYS, Grounds, files_of, play_sweep

DRAWS = 60
IN_A_TEST = 10


@pytest.fixture(scope="module")
def grounds(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Grounds:
    return Grounds(tmp_path_factory.mktemp("grounds"), cache)


@pytest.mark.parametrize("kind", ["a finished run", "an interrupted run"])
@pytest.mark.parametrize("group", range(DRAWS // IN_A_TEST // 2))
def test_a_damaged_run_ends_the_same_or_says_what_is_wrong(kind: str, group: int, grounds: Grounds) -> None:
    for number in range(IN_A_TEST):
        played = PLAYS[kind](grounds, random.Random(f"{kind} {group} {number}"))
        assert played.held, played


@pytest.mark.parametrize(("kind", "draws"), [("the cache", 3), ("an interrupted sweep", 2)])
def test_so_do_a_damaged_cache_and_an_interrupted_sweep(kind: str, draws: int, grounds: Grounds) -> None:
    for number in range(draws):
        played = PLAYS[kind](grounds, random.Random(f"{kind} {number}"))
        assert played.held, played


@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.slow) for part in (2, 3))])
def test_so_does_a_finished_sweep_whichever_file_is_damaged(part: int, grounds: Grounds) -> None:
    for number in range(part, len(files_of(grounds.sweep)), 4):
        played = play_sweep(grounds, grounds.sweep, random.Random(f"sweep {number}"), number)
        assert played.held, played
