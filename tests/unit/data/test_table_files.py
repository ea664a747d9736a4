"""Files as people have them: other separators, encodings, line ends, dates; read right, or refused with what to set."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from fedrec.core.errors import DataError
from fedrec.data.interactions import Dataset
from fedrec.data.load import load_dataset
from fedrec.data.tables.layout import layout_of
from fedrec.experiment.config import DataConfig, TableConfig

ROWS = (("user", "item", "name"), ("ann", "a", "Café"), ("ann", "b", "Thé"), ("bob", "a", "Café"), ("bob", "b", "Thé"))
COMMAS = "\n".join(",".join(row) for row in ROWS) + "\n"


def load(path: Path, **columns: object) -> Dataset:
    return load_dataset(DataConfig(name="table", path=path, table=TableConfig.model_validate(columns)), path.parent)


def written(folder: Path, content: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read_right(data: Dataset) -> bool:
    """Whether `ROWS` were read as they are, letters and all."""
    return (data.users.ids, data.catalogue.ids, data.catalogue.texts) == (["ann", "bob"], ["a", "b"], ["Café", "Thé"])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.dat", "log"])
def test_the_lines_tell_the_separator_whatever_the_file_is_called(tmp_path: Path, separator: str, name: str) -> None:
    assert read_right(load(written(tmp_path, COMMAS.replace(",", separator), name), text=["name"]))


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        # one semicolon a line everywhere, but commas only in some names
        ("user;item, or so\nu;1\nu;2, or 3, or 4\n", "log.dat", ";"),
        # both cut every line into two: the suffix decides
        ("user|a,item\n1|a,2\n", "log.csv", ","),
        # what stands within quotation marks separates nothing
        ('"user;a","item;b"\n"u;1",2\n', "log.dat", ","),
        # nothing to cut: a missing column is told later
        ("user\nu\n", "log.csv", ","),
        ("user\nu\n", "log.tsv", "\t"),
    ],
)
def test_where_several_separators_fit_lines_and_suffix_decide(
    tmp_path: Path, content: str, name: str, expected: str
) -> None:
    assert layout_of(written(tmp_path, content, name)).separator == expected


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        ("user|a,item\n1|a,2\n", "log.dat", r"they fit comma and bar\); set data\.table\.separator"),
        ("user;item|a\n1;2|a\n", "log.csv", r"they fit semicolon and bar\); set data\.table\.separator"),
        ("user::item\n1::2\n", "log.dat", r"they fit none of comma, semicolon, tab, bar\); set data\.table\.separator"),
    ],
)
def test_a_separator_that_nothing_tells_is_asked_for(tmp_path: Path, content: str, name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(written(tmp_path, content, name))


def test_a_long_first_part_of_a_file_is_enough_to_tell(tmp_path: Path) -> None:
    rows = "".join(f"u{number};{number}\n" for number in range(20_000))  # more than is looked at, cut within a line
    assert len(load(written(tmp_path, f"user;item\n{rows}u1;x\nu1;y\n")).interactions) == 3


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf-8-sig"),
        ("latin-1", "latin-1"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_letters_are_right_in_the_encoding_that_is_declared(
    tmp_path: Path, encoding: str, declared: str | None, packed: bool
) -> None:
    raw = COMMAS.encode(encoding)
    path = written(tmp_path, gzip.compress(raw) if packed else raw, "log.csv.gz" if packed else "log.csv")
    data = load(path, text=["name"], **({"encoding": declared} if declared else {}))
    assert read_right(data)
    assert data.name == "log"


@pytest.mark.parametrize(
    ("encoding", "declared", "expected"),
    [
        (
            "latin-1",
            "utf-8",
            r"log\.csv, line 2: byte 0xe9 is not utf-8; set data\.table\.encoding \(perhaps to 'latin-1",
        ),
        ("utf-8", "latin-1", r"is UTF-8, and latin-1 would garble it; set data\.table\.encoding to 'utf-8'"),
        ("utf-8", "cp1252", r"is UTF-8, and cp1252 would garble it"),
        ("utf-16", "utf-8", r"is UTF-16, not utf-8; set data\.table\.encoding to 'utf-16'"),
        ("utf-16-le", "latin-1", r"is no text, it holds zero bytes"),
    ],
)
def test_letters_are_never_wrong_in_silence(tmp_path: Path, encoding: str, declared: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(written(tmp_path, COMMAS.encode(encoding)), encoding=declared)


def test_windows_quotation_marks_are_not_latin_1(tmp_path: Path) -> None:
    quoted = "Thé\u2019s"  # its apostrophe is byte 0x92, where latin-1 has nothing to print
    raw = COMMAS.replace("Thé", quoted).encode("cp1252")
    with pytest.raises(DataError, match=r"line 3: byte 0xe9 is not utf-8; .*perhaps to 'cp1252'"):
        load(written(tmp_path, raw.replace(b"Caf\xe9", b"Cafe")))
    with pytest.raises(DataError, match=r"line 3: byte 0x92 is no letter of latin-1; .*perhaps to 'cp1252'"):
        load(written(tmp_path, raw), encoding="latin-1")
    assert load(written(tmp_path, raw), encoding="cp1252", text=["name"]).catalogue.texts == ["Café", quoted]


def test_broken_lines_of_a_packed_file_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"user,item\nu,1\nu,\n"), "log.csv.gz")
    with pytest.raises(DataError, match=r"log\.csv\.gz, line 3: column 'item' has nothing"):
        load(path)


def test_a_packed_file_that_is_damaged_is_told(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f"u{n},{n * n}\n" for n in range(40_000)).encode())
    for name, raw in (("short.csv.gz", whole[: len(whole) // 2]), ("none.csv.gz", whole[:12])):
        with pytest.raises(DataError, match=rf"{name}: cannot be read .*pack it again"):
            load(written(tmp_path, raw, name))


def test_a_workbook_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no text, it holds zero bytes; export it as CSV"):
        load(written(tmp_path, b"PK\x03\x04\x14\x00\x06\x00", "log.xlsx"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(tmp_path: Path, end: str) -> None:
    assert read_right(load(written(tmp_path, COMMAS.replace("\n", end)), text=["name"]))
    with pytest.raises(DataError, match=r"line 3: column 'item' has nothing"):
        load(written(tmp_path, f"user,item{end}u,1{end}u,{end}"))


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
@pytest.mark.parametrize("name", ["log.csv", "log.dat"])
def test_an_empty_file_is_called_empty(tmp_path: Path, content: str, name: str) -> None:
    with pytest.raises(DataError, match=r"is empty; it needs a header line and at least one row"):
        load(written(tmp_path, content, name))


def test_a_header_without_rows_is_told_of_each_file(tmp_path: Path) -> None:
    log, bare = written(tmp_path, COMMAS), written(tmp_path, "id,name\n", "bare.csv")
    with pytest.raises(DataError, match=r"bare\.csv: has columns \(id, name\) and no row"):
        load(log, items_path=bare)
    with pytest.raises(DataError, match=r"bare\.csv: has columns \(id, name\) and no row"):
        load(log, users_path=bare)


def test_items_and_users_may_call_their_key_as_they_like(tmp_path: Path) -> None:
    log = written(tmp_path, COMMAS)
    items = written(tmp_path, "sku,label\na,Café\nb,Thé\n", "items.csv")
    users = written(tmp_path, "member,town\nbob,Ulm\nann,Bonn\n", "users.csv")
    data = load(log, items_path=items, items_key="sku", users_path=users, users_key="member", text=["label"])
    assert (data.catalogue.texts, data.catalogue.attributes) == (["Café", "Thé"], {})
    assert (data.users.ids, data.users.attributes) == (["bob", "ann"], {"town": ["Ulm", "Bonn"]})
    wanted = r"no column 'item', .* none called 'id'; name .* in data\.table\.items_key; columns found: sku, label"
    with pytest.raises(DataError, match=wanted):
        load(log, items_path=items)
    with pytest.raises(DataError, match=r"in data\.table\.users_key; columns found: member, town"):
        load(log, users_path=users)
    with pytest.raises(DataError, match=r"items\.csv: no column 'ski'; did you mean 'sku'"):
        load(log, items_path=items, items_key="ski")


def dated(folder: Path, *cells: str) -> Path:
    return written(folder, "user;item;when\n" + "".join(f"u;{n};{cell}\n" for n, cell in enumerate(cells)))


@pytest.mark.parametrize("cell", ["5/1/2024", "05/01/2024", "05-01-2024", "5.1.2024", "01/05/24", "Jan 5, 2024"])
def test_a_date_whose_day_nobody_can_tell_is_asked_about(tmp_path: Path, cell: str) -> None:
    wanted = r"line 2: column 'when' has .*, expected a number or an ISO date; .*data\.table\.time_format, such as"
    with pytest.raises(DataError, match=wanted):
        load(dated(tmp_path, cell, cell), time="when")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%d/%m/%Y", [1704412800, 1704499200]),  # 5 and 6 January 2024
        ("%m/%d/%Y", [1714521600, 1717200000]),  # 1 May and 1 June 2024
    ],
)
def test_the_form_of_dates_tells_the_day(tmp_path: Path, form: str, expected: list[int]) -> None:
    data = load(dated(tmp_path, "6/1/2024", "5/1/2024"), time="when", time_format=form)
    assert data.interactions.time.tolist() == expected


def test_a_date_that_is_not_of_its_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"line 3: column 'when' has '13/1/2024', expected a time of the form '%m/%d/%Y'"
    ):
        load(dated(tmp_path, "1/5/2024", "13/1/2024"), time="when", time_format="%m/%d/%Y")
    with pytest.raises(DataError, match=r"line 2: .* expected a time of the form 'day first'"):
        load(dated(tmp_path, "1/5/2024", "13/1/2024"), time="when", time_format="day first")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            ("1577836800", "1577836800000"),
            "line 2: .* 1577836800, seconds since 1970, and .*line 3 has .*, milliseconds",
        ),
        (("1577836800000.5", "5", "1577836800.5"), "line 4: .* seconds since 1970, and .*line 2 has .*, milliseconds"),
        (
            ("1577836800000", "1577836800000000"),
            "line 2: .* milliseconds since 1970, and .*line 3 has .*, microseconds",
        ),
    ],
)
def test_times_of_two_units_are_not_put_in_order(tmp_path: Path, cells: tuple[str, ...], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(dated(tmp_path, *cells), time="when")


@pytest.mark.parametrize("cells", [("1", "1577836800"), ("0", "1577836800000"), ("978307200", "1577836800")])
def test_times_of_one_unit_stay_as_they_are(tmp_path: Path, cells: tuple[str, str]) -> None:
    assert load(dated(tmp_path, *cells), time="when").interactions.time.tolist() == [int(cell) for cell in cells]


@pytest.mark.parametrize("column", ["user", "item", "stars", "when"])
@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_nothing_in_a_parquet_cell_is_named_by_its_row(tmp_path: Path, column: str, nothing: float | None) -> None:
    cells = {"user": [1.0, 1.0], "item": [1.0, 2.0], "stars": [3.0, 4.0], "when": [5.0, 6.0]}
    cells[column][1] = nothing  # type: ignore[call-overload]
    pl.DataFrame(cells, strict=False).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=rf"log\.parquet, row 2: column '{column}' has nothing, expected"):
        load(tmp_path / "log.parquet", value="stars", time="when")


def test_a_parquet_file_without_rows_is_told(tmp_path: Path) -> None:
    pl.DataFrame({"user": [], "item": []}).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=r"log\.parquet: has columns \(user, item\) and no row"):
        load(tmp_path / "log.parquet")
