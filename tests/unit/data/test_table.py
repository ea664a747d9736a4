"""Anybody's own files: columns by name, no code."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from fedrec.core.errors import ConfigError, DataError
from fedrec.data.interactions import Dataset
from fedrec.data.load import load_dataset
from fedrec.experiment.config import DataConfig, TableConfig

LOG = "user,item,when,stars,name\nann,b,20,5,Bee\nbob,a,10,1,Ay\nann,a,10,4,Ay again\nbob,b,30,2,Bee\n"


def load(path: Path, min_value: float | None = None, **columns: object) -> Dataset:
    table = TableConfig.model_validate(columns)
    return load_dataset(DataConfig(name="table", path=path, table=table, min_value=min_value), path.parent)


def written(folder: Path, content: str, name: str = "log.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content.encode(encoding))
    return path


def histories(data: Dataset) -> dict[str, list[str]]:
    return {
        user: [data.catalogue.ids[item] for item in data.interactions.items_of(index)]
        for index, user in enumerate(data.users.ids)
    }


EXPECTED = {"ann": ["a", "b"], "bob": ["a", "b"]}


def test_csv_with_text_in_the_main_file(tmp_path: Path) -> None:
    data = load(written(tmp_path, LOG), time="when", value="stars", text=["name"])
    assert histories(data) == EXPECTED
    assert (data.name, data.catalogue.texts, data.catalogue.titles) == ("log", ["Bee", "Ay"], ["Bee", "Ay"])
    assert data.interactions.value.tolist() == [4, 5, 1, 2]
    assert data.interactions.time.tolist() == [10, 20, 10, 30]


def test_tsv_is_known_by_its_suffix(tmp_path: Path) -> None:
    assert histories(load(written(tmp_path, LOG.replace(",", "\t"), "log.tsv"), time="when")) == EXPECTED


def test_any_other_separator_can_be_given(tmp_path: Path) -> None:
    assert histories(load(written(tmp_path, LOG.replace(",", "|"), "log.dat"), time="when", separator="|")) == EXPECTED


def test_parquet_with_dates(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user": ["ann", "bob", "ann", "bob"],
            "item": [2, 1, 1, 2],
            "when": [datetime(2020, 1, day, tzinfo=UTC) for day in (2, 1, 1, 3)],
        }
    )
    frame.write_parquet(tmp_path / "log.parquet")
    data = load(tmp_path / "log.parquet", time="when")
    assert histories(data) == {"ann": ["1", "2"], "bob": ["1", "2"]}
    assert data.interactions.time[0] == datetime(2020, 1, 1, tzinfo=UTC).timestamp()


def test_a_data_set_says_whether_its_order_is_that_of_time(tmp_path: Path) -> None:
    assert load(written(tmp_path, LOG), time="when").order == "time"
    assert load(written(tmp_path, LOG)).order == "file"


def test_without_time_and_value_file_order_counts_and_each_value_is_one(tmp_path: Path) -> None:
    data = load(written(tmp_path, LOG))
    assert histories(data) == {"ann": ["b", "a"], "bob": ["a", "b"]}
    assert set(data.interactions.value) == {1.0}
    assert (data.catalogue.texts, data.cleaning) == (["b", "a"], {"items_without_text": 2})


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("2020-01-02", "2020-01-01"), [1577836800, 1577923200]),
        (("2020-01-01T00:00:01Z", "2020-01-01T00:00:00Z"), [1577836800, 1577836801]),
        (("2020-01-01 00:00:00.7", "2020-01-01 00:00:00.2"), [0, 1]),
        (("2.5", "0.5"), [0, 1]),
        (("2e9", "1.0"), [1, 2_000_000_000]),
        (("9007199254740993", "9007199254740992"), [9007199254740992, 9007199254740993]),
    ],
)
def test_times_keep_their_order(tmp_path: Path, cells: tuple[str, str], expected: list[int]) -> None:
    path = written(tmp_path, f"user,item,when\nu,late,{cells[0]}\nu,early,{cells[1]}\n")
    data = load(path, time="when")
    assert histories(data) == {"u": ["early", "late"]}
    assert data.interactions.time.tolist() == expected


def test_items_and_users_files(tmp_path: Path) -> None:
    log = written(tmp_path, "user,item\n2,x\n2,y\n7,x\n7,y\n7,lost\n")
    items = written(tmp_path, 'id,name,by,year\ny,"Why, not",Poe,1990\nx,Ex,,\ny,again,,\nz,,,\n', "items.csv")
    users = written(tmp_path, "user,town\n7,Ulm\n7,Bonn\n", "users.csv")
    data = load(log, items_path=items, users_path=users, text=["name", "by"])
    assert data.catalogue.texts == ["Why, not. Poe", "Ex", "z"]
    assert data.catalogue.attributes == {"year": ["1990", "", ""]}
    assert (data.users.ids, data.users.attributes) == (["7", "2"], {"town": ["Ulm", ""]})
    assert data.cleaning == {
        "unknown_item_rows": 1,
        "repeated_item_rows": 1,
        "repeated_user_rows": 1,
        "users_without_attributes": 1,
        "items_without_text": 1,
    }


def test_another_encoding_and_a_byte_order_mark(tmp_path: Path) -> None:
    content = "user;item;name\nu;1;Café; au lait\n".replace("; au", " au") + "u;2;Thé\n"
    latin = load(written(tmp_path, content, encoding="latin-1"), separator=";", encoding="latin-1", text=["name"])
    marked = load(written(tmp_path, content, "mark.csv", "utf-8-sig"), separator=";", text=["name"])
    assert latin.catalogue.texts == marked.catalogue.texts == ["Café au lait", "Thé"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("usr,item\n1,2\n", r"no column 'user'; did you mean 'usr'\? columns found: usr, item"),
        ("user,item,when\n1,2,3\n1,3\n", r"log\.csv, line 3: column 'when' has nothing"),
        ("user,item,when\n1,2,3\n1,2,3,4\n", r"line 3: has 4 fields, expected 3"),
        ('user,item,when\n1,"two\nlines",3\n\n1,4,x\n', r"line 5: column 'when' has 'x'"),
        ("user,item,when\n1,2,2020-01-01\n1,3,2020-13-01\n", r"line 3: column 'when' has '2020-13-01'"),
        ("user,item,when\n1,2,soon\n", r"line 2: column 'when' has 'soon'"),
        ("user,item,when\n,2,1\n", r"line 2: column 'user' has nothing"),
        ('user,item,when\n1,"2,1\n1,3,2\n', r"after line 1: unexpected end of data; close the quotation mark"),
        ('user,item,when\n1,2,1\n1,3"x,2\n', r"line 3: has a stray quotation mark"),
        ("user,item,when\n", r"log\.csv: has columns \(user, item, when\) and no row; give a file with at least one"),
        ("", r"log\.csv: is empty; it needs a header line"),
    ],
)
def test_broken_files_say_where_and_what(tmp_path: Path, content: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(written(tmp_path, content), time="when")


def test_a_wrong_encoding_names_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, "user,item\nu,1\nu,Café\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"line 3: byte 0xe9 is not utf-8; set data\.table\.encoding"):
        load(path)


def test_broken_parquet_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a readable Parquet table"):
        load(written(tmp_path, "no parquet", "log.parquet"))


def test_a_parquet_row_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"user": ["a", None], "item": ["x", "y"]}).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=r"log\.parquet, row 2: column 'user' has nothing"):
        load(tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"separator": "::"}, "not one plain character"),
        ({"encoding": "klingon"}, "unknown encoding 'klingon'"),
        ({"items_path": Path("absent.csv")}, r"data\.table\.items_path is absent\.csv, which does not exist"),
        ({"text": ["title"]}, "no column 'title'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, columns: dict[str, object], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(written(tmp_path, LOG), **columns)


def test_the_path_must_be_given_and_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set data\.path"):
        load_dataset(DataConfig(name="table"), tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        load_dataset(DataConfig(name="table", path=tmp_path, table=TableConfig(separator=",")), tmp_path)


def test_goodbooks_for_real(shared_data: Path) -> None:
    books = shared_data / "goodbooks-10k-sample"
    columns = {"user": "user_id", "item": "book_id", "value": "rating", "items_path": books / "books.csv"}
    data = load(books / "ratings.csv", **columns, text=["title", "authors"])
    assert (len(data.users), len(data.catalogue), len(data.interactions)) == (2672, 10_000, 298_176)
    assert data.catalogue.texts[0] == "The Hunger Games (The Hunger Games, #1). Suzanne Collins"
    liked = load(books / "ratings.csv", min_value=4, **columns)
    assert liked.interactions.value.min() == 4
    assert liked.cleaning["below_min_value_rows"] > 0


def test_lastfm_for_real(shared_data: Path) -> None:
    music = shared_data / "hetrec2011-lastfm-2k"
    columns = {"user": "userID", "item": "artistID", "value": "weight", "separator": "\t"}
    data = load(music / "user_artists.dat", **columns, items_path=music / "artists.dat", text=["name"])
    removed = data.cleaning["users_with_few_rows"]
    assert (len(data.users) + removed, len(data.catalogue)) == (1892, 17_632)
    assert len(data.interactions) + data.cleaning["rows_of_users_with_few_rows"] == 92_834
    assert data.catalogue.texts[0] == "MALICE MIZER"
