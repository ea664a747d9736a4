"""One call from configuration to a clean data set."""

import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from fedrec.core.errors import DataError
from fedrec.data import sources
from fedrec.data.clean import clean
from fedrec.data.download.acquire import Notify, acquire, origin_of
from fedrec.data.download.transports import Progress
from fedrec.data.interactions import Dataset
from fedrec.data.sources.base import DATASETS, Source
from fedrec.experiment.config import DataConfig

for _module in pkgutil.iter_modules(sources.__path__):
    import_module(f"{sources.__name__}.{_module.name}")


def known_sources() -> list[Source]:
    """Return every registered source by name, those of entry points (`fedrec.datasets`) included."""
    return [DATASETS.get(name) for name in DATASETS.names()]


def has_public_catalogue(config: DataConfig) -> bool:
    """Return whether the configured source says that its items come from a public list of their own.

    Raises:
        ConfigError: If the name is not known.
    """
    return DATASETS.get(config.name).public_catalogue(config)


def require_files(config: DataConfig) -> None:
    """Look whether the files that the data section names are there; none is opened.

    Raises:
        DataError: If any is not; all of them are named.
    """
    named = {
        "data.path": config.path,
        "data.table.items_path": config.table.items_path,
        "data.table.users_path": config.table.users_path,
    }
    missing = [f"{key} is {path}, which does not exist" for key, path in named.items() if path and not path.exists()]
    if missing:
        message = (
            f"{'; '.join(missing)}; give existing files or folders (relative paths count from the folder of their "
            "experiment file, those of --set from the current folder)"
        )
        raise DataError(message)


def load_dataset(
    config: DataConfig, cache: Path, *, notify: Notify = print, progress: Progress | None = None
) -> Dataset:
    """Return the configured data set, downloaded if need be and cleaned (see `fedrec.data.clean`).

    Args:
        config: Which data; `config.path`, if given, is read instead of anything downloaded.
        cache: Root of the cache of downloads.
        notify: Told the terms and of failed transports at a first download.
        progress: Bar for the download.

    Raises:
        ConfigError: If the name is not known, or a source without download has no path.
        DataError: If a file is missing or broken, or nothing is left after cleaning.
        AcquireError: If the data could not be downloaded.
    """
    source = DATASETS.get(config.name)
    require_files(config)
    if config.path is None:
        files = source if source.reads is None else source.reads(config)
        place = acquire(files, cache, notify=notify, progress=progress)
        origin = origin_of(place)
    else:
        place, origin = config.path, str(config.path)
    loaded = replace(source.load(place, config), terms=source.terms, source=origin)
    return clean(loaded, config.min_value, config.min_interactions)
