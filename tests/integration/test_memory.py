"""The estimate of memory is within a factor of two of what is measured; what cannot fit is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.training.memory_estimate import Peak, Size, central_bytes, loss_bytes, peaks, require_memory, training_bytes
from simulations import runner
from simulations.options import RunOptions
from tests.tiny import tiny

ROOT = Path(__file__).parents[2]
SMALL = {"items": 1_682, "width": 64, "rank": 8, "clients": 32, "users": 4}
LARGE = {"items": 6_000, "width": 128, "rank": 32, "clients": 64, "users": 4}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("phase", ["training", "central", "loss"])
@pytest.mark.parametrize("case", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_the_estimate_is_within_a_factor_of_two(phase: str, case: dict[str, int]) -> None:
    command = [sys.executable, "-m", "tests.integration.memory_child", phase, *map(str, case.values())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    trained, measured = map(int, done.stdout.split())
    experiment = Experiment.model_validate({"model": {"width": case["width"]}})
    size = Size(items=case["items"], trained=trained, clients=case["clients"])
    estimated = {
        "training": training_bytes(experiment, size),
        "central": central_bytes(experiment, size),
        "loss": loss_bytes(experiment.model.window, size.items),
    }[phase]
    assert measured / 2 <= estimated <= 2 * measured, f"{estimated:,} estimated, {measured:,} measured"


def test_the_estimate_by_hand() -> None:
    experiment = Experiment.model_validate({"evaluation": {"controls": ("ease",)}})
    found = {peak.phase: peak.bytes for peak in peaks(experiment, Size(items=20_000, trained=0, clients=1, workers=3))}
    assert found["the control ease"] == 8 * 20_000**2
    assert found["ranking"] == 256 * 40 * 20_000
    # 2^24 scores at most are 16 users of 50 positions and 20,000 items; 3 copies of 4 bytes
    assert found["the validation loss"] == 3 * 4 * 16 * 50 * 20_000
    # one client of one window: 50 positions in one block, for each of 3 workers
    one = 4 * (4 * 50 * 20_000 + 20 * 50 * 64 * 2 + 3 * 20_000 * 64)
    assert found["training"] == 3 * one


def test_what_cannot_fit_is_refused_and_what_may_not_is_told() -> None:
    told: list[str] = []
    peak = [Peak("training", 8_000_000_000, "adapter.rank")]
    require_memory(peak, available=8_000_000_000, total=8_000_000_000, warn=told.append)
    assert told == []
    require_memory(peak, available=3_000_000_000, total=4_000_000_000, warn=told.append)
    assert told == ["training needs about 8.0 GB of memory, and 3.0 GB are free: it may be killed; lower adapter.rank"]
    with pytest.raises(
        ConfigError, match=r"about 8\.0 GB of memory, and this machine has 3\.9 GB; lower adapter\.rank"
    ):
        require_memory(peak, available=3_000_000_000, total=3_900_000_000, warn=told.append)


def test_a_run_that_cannot_fit_ends_before_its_first_round_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "peaks", lambda experiment, size: [Peak("training", 10**15, "adapter.rank")])
    with pytest.raises(ConfigError, match=r"needs about 1000000\.0 GB"):
        runner.run(tiny(), RunOptions(out=tmp_path / "run", cache=cache), silent)
    assert list(tmp_path.iterdir()) == []
