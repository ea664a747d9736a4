"""MovieLens: films rated by people (Harper and Konstan, 2015, The MovieLens Datasets: History and Context).

`movielens-100k` is read in GroupLens' own layout (`u.data u.item u.user`) and in RecBole's (`ml-100k.inter
.item .user`); both give the same data set. The others come as `ratings.csv` and `movies.csv`. Items are all
rows of the film file in its order. Users follow the user file (100k) or their number (the others). Titles
are written as `fedrec.data.sources.titles` says; an item's text is `Title (year). Genre, Genre`. Item attributes are
`year` and `genres` (joined by "|"; "" for none); user attributes (100k) are `gender`, `occupation` and `age`
as a decade such as "20-29".
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from fedrec.core.errors import DataError
from fedrec.data.interactions import Catalogue, Dataset, Users
from fedrec.data.sources.base import DATASETS, Download, Source
from fedrec.data.sources.titles import film_text, film_title
from fedrec.data.tables.assemble import Rows, assemble
from fedrec.data.tables.layout import Layout
from fedrec.data.tables.parse import identifiers, numbers, texts, times
from fedrec.data.tables.table import Table, read_table
from fedrec.experiment.config import DataConfig

TERMS = "MovieLens, GroupLens Research: for research, no redistribution or commercial use without permission"
OFFICIAL = "https://files.grouplens.org/datasets/movielens"
GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
NO_GENRE = {"", "unknown", "(no genres listed)"}
RATINGS = Layout("\t", columns=("user", "item", "rating", "timestamp"))
FILMS = Layout("|", "latin-1", ("item", "title", "released", "video", "url", "unknown", *GENRES))
PEOPLE = Layout("|", "latin-1", ("user", "age", "gender", "occupation", "zip"))
TABBED = Layout("\t")


def load_100k(path: Path, _config: DataConfig) -> Dataset:
    """Read a folder in either layout of MovieLens-100K.

    Raises:
        DataError: If the folder has neither layout, or a file is broken.
    """
    if (path / "u.data").is_file():
        ratings, films, people = (
            read_table(path / name, layout)
            for name, layout in (("u.data", RATINGS), ("u.item", FILMS), ("u.user", PEOPLE))
        )
        return assemble("movielens-100k", _rows(ratings, *RATINGS.columns), _official_films(films), _people(people))
    if (path / "ml-100k.inter").is_file():
        ratings, films, people = (
            _untyped(read_table(path / f"ml-100k.{part}", TABBED)) for part in ("inter", "item", "user")
        )
        rows = _rows(ratings, "user_id", "item_id", "rating", "timestamp")
        return assemble("movielens-100k", rows, _recbole_films(films), _people(people, "user_id"))
    message = f"{path}: no MovieLens-100K here; expected u.data, u.item and u.user, or ml-100k.inter, .item and .user"
    raise DataError(message)


def load_csv(path: Path, config: DataConfig) -> Dataset:
    """Read a folder with `ratings.csv` and `movies.csv` (latest, 20M, 25M, 32M).

    Raises:
        DataError: If a file is missing or broken.
    """
    films = read_table(path / "movies.csv")
    genres = ([genre for genre in cell.split("|") if genre not in NO_GENRE] for cell in texts(films, "genres"))
    catalogue = _catalogue(identifiers(films, "movieId"), texts(films, "title"), genres)
    ratings = read_table(path / "ratings.csv")
    return assemble(config.name, _rows(ratings, "userId", "movieId", "rating", "timestamp"), catalogue)


def _rows(table: Table, user: str, item: str, rating: str, timestamp: str) -> Rows:
    value = numbers(table, rating).astype(np.float32)
    return Rows(identifiers(table, user), identifiers(table, item), times(table, timestamp), value)


def _official_films(table: Table) -> Catalogue:
    flags = np.stack([numbers(table, genre) for genre in GENRES], axis=1) != 0
    genres = ([genre for genre, on in zip(GENRES, row, strict=True) if on] for row in flags)
    return _catalogue(identifiers(table, "item"), texts(table, "title"), genres)


def _recbole_films(table: Table) -> Catalogue:
    """RecBole cuts the last bracket off the title; `unkonwn` (sic) is its word for what is not known."""
    pairs = zip(texts(table, "movie_title"), texts(table, "release_year"), strict=True)
    titles = ["unknown" if year == "unkonwn" else f"{title} ({year})" for title, year in pairs]
    genres = ([genre for genre in cell.split() if genre not in NO_GENRE] for cell in texts(table, "class"))
    return _catalogue(identifiers(table, "item_id"), titles, genres)


def _catalogue(ids: Iterable[str], raw_titles: Iterable[str], genres: Iterable[list[str]]) -> Catalogue:
    kinds = list(genres)
    titles, years = zip(*(film_title(raw) for raw in raw_titles), strict=True) if kinds else ((), ())
    films = [film_text(title, kind) for title, kind in zip(titles, kinds, strict=True)]
    return Catalogue(list(ids), films, titles, {"year": years, "genres": ["|".join(kind) for kind in kinds]})


def _people(table: Table, user: str = "user") -> Users:
    decade = pl.Series(numbers(table, "age").astype(np.int64) // 10 * 10)
    age = [f"{start}-{start + 9}" for start in decade]
    kept = {name: texts(table, name).to_list() for name in ("gender", "occupation")}
    return Users(identifiers(table, user).to_list(), {"age": age, **kept})


def _untyped(table: Table) -> Table:
    """Drop the types from RecBole's header (`age:token`)."""
    names = {name: name.partition(":")[0] for name in table.frame.columns}
    return Table(table.path, table.frame.rename(names), table.layout)


DATASETS.register("movielens-100k")(
    Source(
        "movielens-100k",
        "films: 943 people, 1,682 films, 100,000 ratings; age, gender, occupation",
        TERMS,
        (
            Download(
                f"{OFFICIAL}/ml-100k.zip",
                "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                "ml-100k",
            ),
            Download(
                "recbole==1.2.1",
                "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
                "recbole/dataset_example/ml-100k",
            ),
        ),
        load_100k,
        public_catalogue=lambda _: True,
    )
)

for _name, _summary, _sha256 in (
    (
        "latest-small",
        "films: 610 people, 9,742 films, 100,836 ratings",
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    (
        "25m",
        "films: 162,541 people, 62,423 films, 25 million ratings",
        "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    (
        "32m",
        "films: 200,948 people, 87,585 films, 32 million ratings",
        "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
    ),
):
    DATASETS.register(f"movielens-{_name}")(
        Source(
            f"movielens-{_name}",
            _summary,
            TERMS,
            (Download(f"{OFFICIAL}/ml-{_name}.zip", _sha256, f"ml-{_name}"),),
            load_csv,
            public_catalogue=lambda _: True,
        )
    )
