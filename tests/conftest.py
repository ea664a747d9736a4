"""Real data for tests: downloaded once into the user's cache, or read from the folder beside the checkout."""

import os
import tempfile
from pathlib import Path

import pytest

from fedrec.core.app import QUIET_DEFAULTS
from fedrec.data.interactions import Dataset
from fedrec.data.load import load_dataset
from fedrec.experiment.config import DataConfig

# Before anything imports Flower or Ray, and for the processes that tests start: as `fedrec` itself runs, and with a
# Flower home of this session's own.
FLWR_HOME = tempfile.TemporaryDirectory(prefix="fedrec-flwr-")
for _name, _value in QUIET_DEFAULTS.items():
    os.environ.setdefault(_name, _value)
os.environ["FLWR_HOME"] = FLWR_HOME.name  # of each process that tests: two of them inherit one environment

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def cache() -> Path:
    """The cache of downloads: FEDREC_CACHE, or the user's own."""
    return Path(os.environ.get("FEDREC_CACHE") or Path.home() / ".cache" / "fedrec")


@pytest.fixture(scope="session")
def ml100k(cache: Path) -> Dataset:
    """MovieLens-100K as a default experiment loads it."""
    return load_dataset(DataConfig(), cache)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data sets beside the checkout; tests are skipped without it, but never in CI."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail("the folder with shared data is missing beside the checkout")
        pytest.skip("no shared data beside the checkout")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def identity() -> None:
    """The identity that Flower's runtime gives a process: without one it makes no message."""
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
