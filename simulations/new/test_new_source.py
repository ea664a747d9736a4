"""NEW_SOURCE keeps the laws of every data source, and reads its format as it should."""

from pathlib import Path

import pytest

from fedrec.experiment.config import DataConfig
from simulations.new.new_source import load
from simulations.testing.sources import SourceContract

EVENTS = "user,item,time,value\na,x,2,5\na,y,1,3\nb,y,1,4\n"
ITEMS = "item,title\nx,A film\ny,Another\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A small piece of the format."""
    (folder := tmp_path / "files").mkdir()
    (folder / "events.csv").write_text(EVENTS, encoding="utf-8")
    (folder / "items.csv").write_text(ITEMS, encoding="utf-8")
    return folder


class TestNewSource(SourceContract):
    plugin = "new_source.py:NEW_SOURCE"


def test_events_are_read_in_the_order_of_their_times(files: Path) -> None:
    dataset = load(files, DataConfig(name="new_source"))
    # user a saw item 1 (y) before item 0 (x)
    assert [dataset.interactions.items_of(user).tolist() for user in (0, 1)] == [[1, 0], [1]]
    assert dataset.interactions.value.tolist() == [3.0, 5.0, 4.0]
    assert dataset.catalogue.titles == ["A film", "Another"]
