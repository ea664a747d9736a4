"""One call from configuration to a clean data set."""

import pkgutil
from collections.abc import Mapping
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
from fedrec.experiment.config import DataConfig, Experiment

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


def require_files(sections: Mapping[str, DataConfig]) -> None:
    """Look whether the files that data sections name are there; none is opened.

    Args:
        sections: Name of each section ("data", "platforms.video") -> what it says.

    Raises:
        DataError: If any is not; all of them are named.
    """
    named = {
        f"{section}.{key}": path
        for section, config in sections.items()
        for key, path in (
            ("path", config.path),
            ("table.items_path", config.table.items_path),
            ("table.users_path", config.table.users_path),
        )
    }
    missing = [f"{key} is {path}, which does not exist" for key, path in named.items() if path and not path.exists()]
    if missing:
        message = (
            f"{'; '.join(missing)}; give existing files or folders (relative paths count from the folder of their "
            "experiment file, those of --set from the current folder)"
        )
        raise DataError(message)


def load_platforms(
    experiment: Experiment, cache: Path, *, notify: Notify = print, progress: Progress | None = None
) -> dict[str, Dataset]:
    """Return the data set of each platform by its name (see `load_dataset`); a run without `platforms` has one.

    Raises:
        DataError: If a file of any platform is missing; and what `load_dataset` raises.
    """
    sections = experiment.data_sections
    require_files(sections)
    return {
        section.rpartition(".")[2]: load_dataset(config, cache, notify=notify, progress=progress)
        for section, config in sections.items()
    }


def load_dataset(
    config: DataConfig, cache: Path, *, notify: Notify = print, progress: Progress | None = None
) -> Dataset:
    """Return the configured data set, downloaded if need be and cleaned (see `fedrec.data.clean`).

    Args:
        config: Which data; `config.path`, if given, is read instead of anything downloaded.
        cache: Root of the cache of downloads.
        notify: Called with the terms and of failed transports at a first download.
        progress: Bar for the download.

    Raises:
        ConfigError: If the name is not known, or a source without download has no path.
        DataError: If a file is missing or broken, or nothing is left after cleaning.
        AcquireError: If the data could not be downloaded.
    """
    source = DATASETS.get(config.name)
    require_files({"data": config})
    if config.path is None:
        files = source if source.reads is None else source.reads(config)
        place = acquire(files, cache, notify=notify, progress=progress)
        origin = origin_of(place)
    else:
        place, origin = config.path, str(config.path)
    loaded = replace(source.load(place, config), terms=source.terms, source=origin)
    return clean(loaded, config.min_value, config.min_interactions)
