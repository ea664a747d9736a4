"""Taking a folder out of a zip archive (or wheel) without trusting the archive's paths."""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from fedrec.data.download.transports import TransportError


def extract_folder(archive: Path, members: str, target: Path) -> None:
    """Write the files under the archive's folder `members` into `target`, which is created.

    Args:
        archive: A zip file or wheel.
        members: Folder inside it, "" for its top; its own name does not appear under `target`.
        target: Folder that must not exist.

    Raises:
        TransportError: If the archive is broken, has no such folder, or names a path outside `target`.
    """
    target.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [(info, _inside(info.filename, members)) for info in opened.infolist() if not info.is_dir()]
            wanted = [(info, path) for info, path in files if path is not None]
            if not wanted:
                message = f"the archive has no folder {members!r}"
                raise TransportError(message)
            for info, path in wanted:
                destination = target / path
                destination.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(info) as source, destination.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except zipfile.BadZipFile as error:
        message = f"not a sound zip archive ({error})"
        raise TransportError(message) from error


def _inside(name: str, members: str) -> PurePosixPath | None:
    """Return the path below `members`, or None for a file elsewhere."""
    path, folder = PurePosixPath(name.replace("\\", "/")), PurePosixPath(members)
    if path.is_absolute() or ".." in path.parts or ":" in name:
        message = f"the archive names a file outside its folder ({name!r}); it was not unpacked"
        raise TransportError(message)
    return path.relative_to(folder) if path.is_relative_to(folder) else None
