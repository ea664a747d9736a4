"""MovieLens in GroupLens' and RecBole's layouts, small by hand and whole for real."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedrec.core.errors import DataError
from fedrec.data.interactions import Dataset
from fedrec.data.load import load_dataset
from fedrec.data.sources.movielens import GENRES, load_100k, load_csv
from fedrec.data.sources.titles import film_title
from fedrec.experiment.config import DataConfig

LAYOUTS = ["official", "recbole"]
FAMILY = ("Animation", "Children's", "Comedy")


def flags(*genres: str) -> str:
    return "|".join("1" if genre in genres else "0" for genre in ("unknown", *GENRES))


def official(folder: Path) -> Path:
    films = [
        f"1|Toy Story (1995)|01-Jan-1995||http://x|{flags(*FAMILY)}",
        f"2|Godfather, The (1972)|01-Jan-1972||http://x|{flags('Action', 'Crime', 'Drama')}",
        f"3|unknown||||{flags('unknown')}",
        f"4|Cérémonie, La (1995) |01-Jan-1995||http://x|{flags('Drama')}",
        f"5|Land Before Time III: The Time of the Great Giving (1995) (V)|||http://x|{flags('Animation')}",
    ]
    (folder / "u.item").write_bytes("\n".join([*films, ""]).encode("latin-1"))
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|7|F|student|T8H1N\n3|60|M|none|1\n")
    (folder / "u.data").write_text("2\t1\t3\t881250949\n1\t4\t5\t881250950\n1\t2\t1\t881250949\n1\t1\t4\t881250949\n")
    return folder


def recbole(folder: Path) -> Path:
    tables = {
        "item": """item_id:token	movie_title:token_seq	release_year:token	class:token_seq
1	Toy Story	1995	Animation Children's Comedy
2	Godfather, The	1972	Action Crime Drama
3	unkonwn	unkonwn	unknown
4	Cérémonie, La	1995	Drama
5	Land Before Time III: The Time of the Great Giving (1995)	V	Animation
""",
        "user": """user_id:token	age:token	gender:token	occupation:token	zip_code:token
1	24	M	technician	85711
2	7	F	student	T8H1N
3	60	M	none	1
""",
        "inter": """user_id:token	item_id:token	rating:float	timestamp:float
2	1	3	881250949
1	4	5	881250950
1	2	1	881250949
1	1	4	881250949
""",
    }
    for part, content in tables.items():
        (folder / f"ml-100k.{part}").write_text(content, encoding="utf-8")
    return folder


def write(layout: str, folder: Path) -> Path:
    writers: dict[str, Callable[[Path], Path]] = {"official": official, "recbole": recbole}
    return writers[layout](folder)


def same(left: Dataset, right: Dataset) -> bool:
    columns = ("user", "item", "time", "value")
    return (
        all(np.array_equal(getattr(left.interactions, c), getattr(right.interactions, c)) for c in columns)
        and (left.name, list(left.users.ids), left.cleaning) == (right.name, list(right.users.ids), right.cleaning)
        and left.users.attributes == right.users.attributes
        and list(left.catalogue.texts) == list(right.catalogue.texts)
        and list(left.catalogue.titles) == list(right.catalogue.titles)
        and left.catalogue.attributes == right.catalogue.attributes
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_small_folder_by_hand(layout: str, tmp_path: Path) -> None:
    data = load_100k(write(layout, tmp_path), DataConfig())
    assert data.catalogue.texts == [
        "Toy Story (1995). Animation, Children's, Comedy",
        "The Godfather (1972). Action, Crime, Drama",
        "unknown",
        "La Cérémonie (1995). Drama",
        "Land Before Time III: The Time of the Great Giving (1995). Animation",
    ]
    assert data.catalogue.attributes["year"] == ("1995", "1972", "", "1995", "1995")
    assert data.catalogue.attributes["genres"][1] == "Action|Crime|Drama"
    assert data.users.attributes == {
        "age": ["20-29", "0-9", "60-69"],
        "gender": ["M", "F", "M"],
        "occupation": ["technician", "student", "none"],
    }
    # User 1 watched films 2 and 1 in the same second: they keep their file order, before film 4.
    assert [data.interactions.items_of(user).tolist() for user in range(3)] == [[1, 0, 3], [0], []]
    assert data.interactions.value.tolist() == [1, 4, 5, 3]


def test_both_layouts_give_the_same_data_set(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    left.mkdir()
    right.mkdir()
    assert same(load_100k(official(left), DataConfig()), load_100k(recbole(right), DataConfig()))


def test_the_real_100k(ml100k: Dataset) -> None:
    rows = ml100k.interactions
    assert (len(ml100k.users), len(ml100k.catalogue), len(rows)) == (943, 1682, 100_000)
    assert ml100k.cleaning == {}
    assert ml100k.catalogue.texts[126] == "The Godfather (1972). Action, Crime, Drama"
    assert ml100k.catalogue.ids == [str(number) for number in range(1, 1683)]
    assert ml100k.users.ids == [str(number) for number in range(1, 944)]
    assert np.bincount(rows.user).min() == 20
    assert [ml100k.users.attributes["gender"].count(gender) for gender in "MF"] == [670, 273]
    assert ml100k.source
    assert "research" in ml100k.terms


def test_the_real_100k_in_both_layouts(ml100k: Dataset, cache: Path, tmp_path: Path) -> None:
    """Rewrite the real files in GroupLens' layout and read them back."""
    place = next(folder for folder in (cache / "data" / "movielens-100k").iterdir() if folder.is_dir())
    if not (place / "ml-100k.inter").is_file():
        pytest.skip("the cache holds GroupLens' own files")
    (tmp_path / "u.data").write_text((place / "ml-100k.inter").read_text().partition("\n")[2])
    people = (place / "ml-100k.user").read_text().partition("\n")[2]
    (tmp_path / "u.user").write_text(people.replace("\t", "|"))
    films = []
    for line in (place / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]:
        item, title, year, genres = line.split("\t")
        title = "unknown" if year == "unkonwn" else f"{title} ({year})"
        films.append(f"{item}|{title}|||http://x|{flags(*genres.split())}")
    (tmp_path / "u.item").write_bytes("\n".join(films).encode("latin-1"))
    config = DataConfig(path=tmp_path)
    assert same(load_dataset(config, cache), ml100k)


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story (1995)", "1995"),
        ("Usual Suspects, The (1995)", "The Usual Suspects (1995)", "1995"),
        ("Fish Called Wanda, A (1988)", "A Fish Called Wanda (1988)", "1988"),
        ("Enfer, L' (1994)", "L'Enfer (1994)", "1994"),
        (
            "Horseman on the Roof, The (Hussard sur le toit, Le) (1995)",
            "The Horseman on the Roof (Le Hussard sur le toit) (1995)",
            "1995",
        ),
        ("Good, The Bad and The Ugly, The (1966)", "The Good, The Bad and The Ugly (1966)", "1966"),
        ("I, Worst of All (Yo, la peor de todas) (1990)", "I, Worst of All (Yo, la peor de todas) (1990)", "1990"),
        ("Big Bang Theory, The (2007-)", "The Big Bang Theory (2007-)", "2007"),
        ("Two  Friends (1986) ", "Two Friends (1986)", "1986"),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", ""),
        ("", "", ""),
    ],
)
def test_titles_put_the_article_first(raw: str, title: str, year: str) -> None:
    assert film_title(raw) == (title, year)


MOVIES = 'movieId,title,genres\n10,"American President, The (1995)",Comedy|Drama\n3,Hyena Road,(no genres listed)\n'
RATINGS = "userId,movieId,rating,timestamp\n10,3,2.5,9\n9,10,4.0,7\n10,10,5.0,8\n"


def csv_folder(folder: Path, movies: str = MOVIES, ratings: str = RATINGS) -> Path:
    (folder / "movies.csv").write_text(movies, encoding="utf-8")
    (folder / "ratings.csv").write_text(ratings, encoding="utf-8")
    return folder


def test_csv_by_hand(tmp_path: Path) -> None:
    data = load_csv(csv_folder(tmp_path), DataConfig(name="movielens-25m"))
    assert data.name == "movielens-25m"
    assert data.catalogue.texts == ["The American President (1995). Comedy, Drama", "Hyena Road"]
    assert data.users.ids == ["9", "10"]
    assert data.interactions.items_of(1).tolist() == [0, 1]
    assert data.interactions.value.tolist() == [4.0, 5.0, 2.5]


def test_csv_for_real(shared_data: Path, cache: Path) -> None:
    config = DataConfig(name="movielens-latest-small", path=shared_data / "ml-latest-small-2016")
    data = load_dataset(config, cache)
    assert (len(data.users), len(data.catalogue), len(data.interactions)) == (671, 9125, 100_004)
    assert data.catalogue.titles[data.catalogue.ids.index("51372")] == '"Great Performances" Cats (1998)'
    assert data.cleaning == {}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("u.data", "1\t1\t5\t1\n1\t2\tfive\t2\n", r"u\.data, line 2: column 'rating' has 'five', expected a finite"),
        ("u.data", "1\t1\t5\t1\n\n1\t2\t5\n", r"u\.data, line 3: column 'timestamp' has nothing \(or .* too few"),
        ("u.data", "1\t1\t5\t1\n1\t2\tnan\t2\n", r"line 2: column 'rating' has 'nan'"),
        ("u.data", "1\t1\t5\t1\n1\t2\t5\tnoon\n", r"line 2: column 'timestamp' has 'noon'"),
        ("u.data", "1\t1\t5\t1\n1\t2\t5\t2\t3\n", r"u\.data, line 2: has 5 fields, expected 4"),
        ("u.data", "1\t1\t5\t1\n\t2\t5\t2\n", r"line 2: column 'user' has nothing"),
        ("u.data", "1\t1\t5\n", r"has 3 columns, expected 4: user, item, rating, timestamp"),
        ("u.data", "", "is empty"),
        ("u.user", "1|young|M|none|1\n", r"u\.user, line 1: column 'age' has 'young'"),
        ("u.item", f"1|A|||h|{flags('Drama')}\n2|B|||h|1|0\n", r"u\.item, line 2: column 'Adventure' has nothing"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (official(tmp_path) / name).write_text(content)
    with pytest.raises(DataError, match=expected):
        load_100k(tmp_path, DataConfig())


def test_a_folder_with_something_else_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected u\.data, u\.item and u\.user, or ml-100k\.inter"):
        load_100k(tmp_path, DataConfig())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (official(tmp_path) / "u.item").unlink()
    with pytest.raises(DataError, match=r"u\.item: no such file"):
        load_100k(tmp_path, DataConfig())


def test_a_film_twice_is_kept_once_and_counted(tmp_path: Path) -> None:
    data = load_csv(csv_folder(tmp_path, movies=MOVIES + "10,Again,Drama\n"), DataConfig(name="movielens-25m"))
    assert data.catalogue.ids == ["10", "3"]
    assert data.cleaning == {"repeated_item_rows": 1}
