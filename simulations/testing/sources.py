"""What every data source keeps: its terms are said, and what it loads can be split, cleaned and encoded."""

import hashlib
import re
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrec.core.errors import DataError
from fedrec.data.clean import clean
from fedrec.data.interactions import Dataset
from fedrec.data.load import load_dataset
from fedrec.data.sources.base import DATASETS, Source
from fedrec.experiment.config import DataConfig
from simulations.testing.contract import Contract

ORIGIN = re.compile(r"https://\S+|[\w.-]+==[\w.]+")


class SourceContract(Contract):
    """The laws of a data source.

    A subclass has a fixture `files` that returns the path of a small piece of the real format, at least two users and
    two items: a file or folder beside the test, or one that it writes into `tmp_path`.

    Attributes:
        config: Further keys of the section `data`.
    """

    config: Mapping[str, Any] = {}

    @pytest.fixture
    def source(self, plugin: str) -> Source:
        """The source."""
        return DATASETS.get(plugin)

    @pytest.fixture
    def data(self, plugin: str, files: Path) -> DataConfig:
        """The section `data` that reads the files, whose users may be short of rows."""
        return DataConfig.model_validate({"name": plugin, "path": files, "min_interactions": 1, **self.config})

    @pytest.fixture
    def dataset(self, source: Source, data: DataConfig, files: Path) -> Dataset:
        """What the source reads of the files."""
        return source.load(files, data)

    def test_it_says_what_it_is_and_on_which_terms(self, source: Source) -> None:
        assert all(text.strip() and "\n" not in text for text in (source.name, source.summary, source.terms))

    def test_a_registered_source_is_called_by_its_name(self, plugin: str, source: Source) -> None:
        assert ":" in plugin or source.name == plugin

    def test_what_is_downloaded_is_known_by_its_hash(self, source: Source) -> None:
        assert all(ORIGIN.fullmatch(one.origin) for one in source.downloads)
        assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in source.downloads)

    def test_items_and_users_have_an_identifier_each(self, dataset: Dataset) -> None:
        for ids in (dataset.catalogue.ids, dataset.users.ids):
            assert all(isinstance(one, str) and one for one in ids)
            assert len(set(ids)) == len(ids)

    def test_every_column_is_as_long_as_what_it_describes(self, dataset: Dataset) -> None:
        rows, items = dataset.interactions, dataset.catalogue
        described: Sequence[tuple[int, Mapping[str, Sized]]] = [
            (len(rows), {"item": rows.item, "time": rows.time, "value": rows.value}),
            (len(items), {"texts": items.texts, "titles": items.titles, **items.attributes}),
            (len(dataset.users), dataset.users.attributes),
        ]
        wrong = [name for length, columns in described for name, column in columns.items() if len(column) != length]
        assert wrong == []
        assert (rows.num_users, rows.num_items) == (len(dataset.users), len(items))

    def test_rows_are_of_known_items_and_finite(self, dataset: Dataset) -> None:
        rows = dataset.interactions
        assert (rows.item.min() >= 0, rows.item.max() < rows.num_items) == (True, True)
        assert np.isfinite(rows.value).all()

    def test_each_users_rows_are_in_time_order(self, dataset: Dataset) -> None:
        rows = dataset.interactions
        assert (rows.bounds[0], rows.bounds[-1]) == (0, len(rows))
        same_user = rows.user[1:] == rows.user[:-1]
        assert (np.diff(rows.time)[same_user] >= 0).all()

    def test_an_order_by_time_comes_from_times(self, dataset: Dataset) -> None:
        assert dataset.order == "file" or len(np.unique(dataset.interactions.time)) > 1, "say order='file'"

    def test_every_item_has_a_text_once_it_is_cleaned(self, dataset: Dataset) -> None:
        cleaned = clean(dataset)
        assert all(text.strip() for text in cleaned.catalogue.texts)
        assert all(title.strip() for title in cleaned.catalogue.titles)

    def test_it_can_be_named_in_an_experiment_and_keeps_its_terms(
        self, source: Source, data: DataConfig, tmp_path: Path
    ) -> None:
        loaded = load_dataset(data, tmp_path / "cache")
        assert (loaded.terms, loaded.source) == (source.terms, str(data.path))

    def test_it_reads_the_same_again_and_leaves_the_files_alone(
        self, source: Source, data: DataConfig, files: Path
    ) -> None:
        before = hashes(files)
        first, again = (source.load(files, data) for _ in range(2))
        assert hashes(files) == before
        for column in ("bounds", "item", "time", "value"):
            np.testing.assert_array_equal(getattr(first.interactions, column), getattr(again.interactions, column))
        assert (list(first.catalogue.ids), list(first.users.ids)) == (list(again.catalogue.ids), list(again.users.ids))

    def test_a_folder_without_the_files_is_an_error_that_names_it(
        self, source: Source, data: DataConfig, tmp_path: Path
    ) -> None:
        (nothing := tmp_path / "nothing").mkdir()
        with pytest.raises(DataError, match="nothing"):
            source.load(nothing, data)


def hashes(files: Path) -> dict[str, str]:
    """Return the hash of each file."""
    paths = [files] if files.is_file() else sorted(path for path in files.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
