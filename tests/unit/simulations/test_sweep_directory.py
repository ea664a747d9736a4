"""What a sweep's directory says of its trials is read with care."""

from pathlib import Path

import pytest

from fedrec.core.errors import RunError
from simulations.sweep.directory import SweepDirectory
from tests.integration.damage import plan


@pytest.mark.parametrize("text", ["", "seed 3", "sweep = 3", "[sweep]\ntrials = 3", "[sweep.trials]\nab = 3", "\udcff"])
def test_a_damaged_list_of_trials_is_named_and_left_as_it_is(text: str, tmp_path: Path) -> None:
    directory = SweepDirectory(tmp_path)
    with directory.opened(plan()):
        pass
    directory.asked.write_text(text, encoding="utf-8", errors="surrogateescape")
    found = directory.asked.read_bytes()
    with pytest.raises(RunError, match=r"sweep\.toml was edited or damaged .*restore it"), directory.opened(plan()):
        pass
    assert directory.asked.read_bytes() == found
