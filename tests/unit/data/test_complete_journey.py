"""The Complete Journey: a small piece of its three tables by hand, and the real package."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fedrec.core.errors import DataError
from fedrec.data.load import load_dataset
from fedrec.data.sources.complete_journey import TYPES, load_complete_journey
from fedrec.experiment.config import DataConfig

MORNING, EVENING = datetime(2017, 1, 1, 8), datetime(2017, 1, 1, 18)  # noqa: DTZ001 - the source has no zone either

TABLES: dict[str, list[dict[str, Any]]] = {
    "products": [
        {
            "product_id": number,
            "department": "GROCERY",
            "brand": "Private",
            "product_category": category,
            "product_type": kind,
            "package_size": size,
        }
        for number, category, kind, size in (
            (30, "FRUIT", "APPLE SAUCE", "50 OZ"),
            (20, None, None, None),
            (10, "BABY FOOD", "APPLE SAUCE", None),
        )
    ],
    "transactions": [
        {"household_id": household, "product_id": product, "quantity": quantity, "transaction_timestamp": time}
        for household, product, quantity, time in (
            (9, 10, 2, EVENING),
            (9, 30, 1, MORNING),
            (9, 20, 1, MORNING),
            (1, 30, 0, MORNING),
            (1, 99, 1, MORNING),
        )
    ],
    "demographics": [
        {
            "household_id": 9,
            "age": "65+",
            "income": "35-49K",
            "marital_status": None,
            "home_ownership": "Renter",
            "household_size": "2",
            "household_comp": "2 Adults No Kids",
            "kids_count": "0",
        }
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in TABLES.items():
        pl.DataFrame(rows).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_products_by_hand(folder: Path) -> None:
    data = load_complete_journey(folder, DataConfig(name="complete-journey"))
    assert data.catalogue.ids == ["30", "20", "10"]
    assert data.catalogue.texts[0] == "APPLE SAUCE. FRUIT, GROCERY. Private brand, 50 OZ"
    assert data.catalogue.texts[1] == "GROCERY. Private brand"
    assert data.catalogue.titles == ["APPLE SAUCE 50 OZ", "GROCERY", "APPLE SAUCE"]
    assert data.users.ids == ["9", "1"]
    assert data.users.attributes["age"] == ["65+", ""]
    assert data.users.attributes["marital_status"] == ["", ""]
    assert data.interactions.items_of(0).tolist() == [0, 1, 2], "the morning's basket in file order, then the evening's"
    assert data.interactions.value.tolist() == [1, 1, 2, 0]
    assert data.cleaning == {"unknown_item_rows": 1, "users_without_attributes": 1}


def test_types_by_hand(folder: Path) -> None:
    data = load_complete_journey(folder, DataConfig(name=TYPES))
    assert data.catalogue.ids == data.catalogue.titles == ["APPLE SAUCE"]
    assert data.catalogue.texts == ["APPLE SAUCE. FRUIT, GROCERY"], "as its first product is described"
    assert data.interactions.items_of(0).tolist() == [0, 0], "two products of one type"
    assert data.cleaning["unknown_item_rows"] == 2, "product 20 has no type, product 99 is in no list"


def test_a_missing_table_is_named(folder: Path) -> None:
    (folder / "demographics.parquet").unlink()
    with pytest.raises(DataError, match=r"demographics\.parquet"):
        load_complete_journey(folder, DataConfig(name=TYPES))


def test_the_real_package(cache: Path) -> None:
    products = load_dataset(DataConfig(name="complete-journey"), cache)
    types = load_dataset(DataConfig(name=TYPES), cache)
    assert (len(products.users), len(products.catalogue), len(products.interactions)) == (2462, 92_331, 866_102)
    assert (len(types.users), len(types.catalogue), len(types.interactions)) == (2460, 2378, 434_202)
    assert types.source == products.source, "both are read from one download"
    assert np.sum(np.array(products.users.attributes["age"]) != "") == 801
    assert types.catalogue.texts[2] == "APPLE SAUCE. FRUIT - SHELF STABLE, GROCERY"
    # 1,469,307 purchases, each once: read, of an unknown item, or of a pair or household that is left out
    assert (
        len(types.interactions)
        + sum(
            types.cleaning[rule] for rule in ("unknown_item_rows", "repeated_pair_rows", "rows_of_users_with_few_rows")
        )
        == 1_469_307
    )
